// Sign-in, sign-up, a forgotten password.

import { NoAnswer } from "./api.js";
import { Notice, clearErrors, onSubmit } from "./forms.js";

const byId = (id) => document.getElementById(id);

/**
 * The forms for those who are not signed in. `onSession` is called with the response to a sign-in, `onBack` when no new
 * password is wanted after all.
 */
export function welcome(api, { onSession, onBack }) {
  const [section, farewell] = ["welcome", "farewell"].map(byId);
  const forms = ["sign-in", "sign-up", "forgot", "reset"].map(byId);
  const [signIn, signUp, forgot, reset] = forms;
  /** The token of a mail, while a new password is chosen. */
  let resetToken = null;

  async function enter(email, password) {
    const session = await api.signIn(email, password);
    for (const form of forms) form.reset();
    onSession(session);
  }

  /** Enters with a password that was just set; the sign-in form says so if that fails. */
  async function enterAfter(done, email, password) {
    try {
      await enter(email, password);
    } catch (error) {
      signIn.elements.email.value = email;
      turnTo(signIn, `${done} Please sign in.`);
      throw error;
    }
  }

  onSubmit(signIn, ({ email, password }) => enter(email, password));

  onSubmit(
    signUp,
    async ({ email, password }) => {
      await api.signUp(email, password);
      await enterAfter("Your account was created.", email, password);
    },
    { 409: "email" },
  );

  onSubmit(forgot, async ({ email }) => {
    await api.requestPasswordReset(email);
    signIn.elements.email.value = email;
    turnTo(signIn, "If the address has an account, a mail is on its way. Its link works for 30 minutes.");
  });

  onSubmit(reset, async ({ email, password }) => {
    try {
      await api.resetPassword(resetToken, password);
    } catch (error) {
      if (error instanceof NoAnswer) {
        throw new Notice("There was no response, so your password may or may not be set. Try again, or sign in with it.");
      }
      if (error.status !== 401) throw error;
      turnTo(forgot, "This link is wrong, used or too old. You can ask for another one.");
      return;
    }
    await enterAfter("Your password is set.", email, password);
  });

  /** Shows a form, and a notice above it. */
  function turnTo(form, notice = "") {
    const before = forms.find((other) => !other.hidden);
    clearErrors(form);
    form.elements.email.value ||= before.elements.email.value;
    if (form !== reset) forgetReset();
    for (const other of forms) other.hidden = other !== form;
    farewell.textContent = notice;
    farewell.hidden = notice === "";
    section.hidden = false;
    form.querySelector("input:not([hidden])").focus();
  }
  function forgetReset() {
    resetToken = null;
    reset.reset();
  }

  byId("show-sign-up").addEventListener("click", () => turnTo(signUp));
  byId("show-forgot").addEventListener("click", () => turnTo(forgot));
  for (const form of [signUp, forgot]) form.querySelector(".show-sign-in").addEventListener("click", () => turnTo(signIn));
  reset.querySelector(".show-sign-in").addEventListener("click", onBack);

  return {
    /** Shows the sign-in form, with a reason, and with the address that was signed in. */
    show(why = "", email = "") {
      turnTo(signIn, why);
      signIn.elements.email.value ||= email;
      if (why) signIn.elements[email ? "password" : "email"].focus();
    },
    /** Shows the form for a new password, if the page's address is a mail's link. Returns whether it is. */
    showReset() {
      const fragment = new URLSearchParams(location.hash.slice(1));
      if (!fragment.has("password-reset")) return false;
      // The token is for nobody who looks at the address or the history.
      history.replaceState(history.state, "", location.pathname + location.search);
      turnTo(reset);
      resetToken = fragment.get("password-reset");
      const email = fragment.get("email") ?? "";
      // Anybody can make a link.
      const isAddress = /^[!-~]+@[!-~]+$/.test(email);
      reset.elements.email.value = isAddress ? email : "";
      byId("reset-lead").textContent = `${isAddress ? `For ${email}. ` : ""}This signs out all your devices.`;
      return true;
    },
    hide() {
      section.hidden = true;
      farewell.hidden = true;
      forgetReset();
    },
    /** Whether a new password is being chosen. */
    get isResetting() {
      return resetToken !== null;
    },
  };
}
