// Forms. Errors are shown at the field they are about, or else above the form.

import { NoAnswer, Problem } from "./api.js";

/** An error whose message is shown to the user; at `field`, if given. */
export class Notice extends Error {
  constructor(message, field) {
    super(message);
    this.errors = field ? [{ field, detail: message }] : [];
  }
}

/**
 * Calls `work` with the form's values when it is submitted, and shows its errors.
 *
 * While it runs, the form can be neither submitted again nor changed. `fields` maps a status to the field it is about,
 * for problems that name none.
 */
export function onSubmit(form, work, fields = {}) {
  /** The last `Retry-After`: nothing is sent before. */
  let waiting = { until: 0 };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (isBusy(form)) return;
    clearErrors(form);
    if (Date.now() < waiting.until) {
      waiting.error.retryAfter = Math.ceil((waiting.until - Date.now()) / 1000);
      showError(form, waiting.error, fields);
      return;
    }
    setBusy(form, true);
    try {
      await work(Object.fromEntries(new FormData(form)));
    } catch (error) {
      if (error.retryAfter) waiting = { until: Date.now() + error.retryAfter * 1000, error };
      showError(form, error, fields);
    } finally {
      setBusy(form, false);
    }
  });
  // Attempts are counted by address: another address need not wait.
  form.elements.email?.addEventListener("input", () => (waiting = { until: 0 }));
}

/** Calls `work` when a button is pressed, once at a time, and shows its error in `failure`. */
export function onPress(button, work, failure) {
  button.addEventListener("click", async () => {
    if (isBusy(button)) return;
    failure.hidden = true;
    button.setAttribute("aria-busy", "true");
    try {
      await work();
    } catch (error) {
      failure.textContent = sentence(error);
      failure.hidden = false;
      failure.scrollIntoView({ block: "nearest" });
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
}

/** Whether what a form or a button does is under way. */
export function isBusy(form) {
  return form.hasAttribute("aria-busy");
}

function setBusy(form, busy) {
  if (busy) form.setAttribute("aria-busy", "true");
  else form.removeAttribute("aria-busy");
  for (const input of form.querySelectorAll("input:not([hidden]), textarea")) input.readOnly = busy;
}

/** Removes what `showError` showed. */
export function clearErrors(form) {
  for (const element of form.querySelectorAll(".failure, .error")) {
    element.hidden = true;
    element.textContent = "";
  }
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
}

/** Shows an error at its fields and focuses the first; shows it above the form if it has none. */
export function showError(form, error, fields = {}) {
  const problems = error.errors?.length > 0 ? error.errors : [{ field: fields[error.status], detail: sentence(error) }];
  const unplaced = problems.filter(({ field, detail }) => !showFieldError(form.elements[field], detail));
  if (unplaced.length > 0) {
    const failure = form.querySelector(".failure");
    failure.textContent = unplaced.map(({ detail }) => detail).join(" ");
    failure.hidden = false;
  }
  form.querySelector("[aria-invalid]")?.focus();
}

/** Returns whether there was a field to show it at. */
function showFieldError(input, detail) {
  const place = input?.id && document.getElementById(`${input.id}-error`);
  if (!place) return false;
  place.textContent = place.hidden ? capitalised(detail) : `${place.textContent} ${capitalised(detail)}`;
  place.hidden = false;
  input.setAttribute("aria-invalid", "true");
  input.closest("details")?.setAttribute("open", "");
  return true;
}

/** What went wrong, for the user. */
export function sentence(error) {
  if (error instanceof Notice) {
    return error.message;
  }
  if (error instanceof NoAnswer) {
    return "The service could not be reached. Check your connection and try again.";
  }
  if (!(error instanceof Problem)) {
    console.error(error);
    return "Something went wrong on this page. Reload it and try again.";
  }
  const wait = error.retryAfter ? ` Try again in ${duration(error.retryAfter)}.` : "";
  switch (error.status) {
    case 429:
      return `Too many attempts.${wait}`;
    case 502:
    case 503:
    case 504:
      return `The service is temporarily unavailable.${wait}`;
    case 501:
      return "This service sends no mail. Ask those who run it for a new password.";
    case 500:
      return `Something went wrong in the service.${error.requestId ? ` The request id is ${error.requestId}.` : ""}`;
    default:
      return error.message;
  }
}

/** A number of things: "1 task", "2,000 tasks". */
export function count(number, thing) {
  return `${number.toLocaleString("en")} ${thing}${number === 1 ? "" : "s"}`;
}

/** A duration in seconds or minutes, for the user. */
export function duration(seconds) {
  return seconds < 90 ? count(seconds, "second") : count(Math.ceil(seconds / 60), "minute");
}

/** The API's details are not whole sentences: "must not be empty". */
function capitalised(detail) {
  const text = detail.charAt(0).toUpperCase() + detail.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
