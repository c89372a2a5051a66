// Signs in above the viewer, so that all its operations send the token. The token is in this page alone, and goes with it.

/** The scheme of the OpenAPI document that takes the token. */
const SCHEME = "bearer";

/**
 * The form above the viewer, which follows what the viewer does with the token.
 *
 * `plugin` and `responseInterceptor` are for the viewer's settings. `attach` shows the form once there is a viewer.
 */
export function session(base) {
  const form = document.querySelector("#session");
  const part = (name) => document.querySelector(`#${name}`);
  let viewer;

  function show(token, email) {
    for (const id of ["session-state", "sign-out"]) part(id).hidden = !token;
    for (const shown of [part("session-lead"), form.querySelector(".fields")]) shown.hidden = Boolean(token);
    part("session-who").textContent = email ? `Signed in as ${email}` : "Signed in";
    form.setAttribute("aria-labelledby", token ? "session-state" : "session-lead");
  }

  /** The viewer's own way to set a token, which no plugin is told of. */
  function take(token, email) {
    viewer.preauthorizeApiKey(SCHEME, token);
    show(token, email);
    fail("");
  }

  function fail(text) {
    part("session-failure").textContent = text;
  }

  /** The answer's JSON. Cookies are left out: they belong to the page of the tasks. */
  async function send(method, path, { body, token } = {}) {
    const headers = new Headers(token && { Authorization: `Bearer ${token}` });
    if (body) headers.set("Content-Type", "application/json");
    const request = { method, headers, body: JSON.stringify(body), credentials: "omit" };
    const response = await fetch(new URL(path, base), request).catch(() => {
      throw new Error("The API could not be reached. Try again.");
    });
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    const { status } = response;
    throw Object.assign(new Error(reason(answer) ?? `The API answered with ${status}.`), { status });
  }

  async function signIn(isNew) {
    const { elements } = form;
    const account = { email: elements.email.value, password: elements.password.value };
    if (isNew) await send("POST", "users/signup", { body: account });
    const { token } = await send("POST", "users/signin", { body: account });
    elements.password.value = "";
    take(token, account.email.trim());
    part("session-state").focus();
  }

  /** Ends the session, so that it is not left in the account's list. */
  async function signOut() {
    const token = viewer.authSelectors.authorized().getIn([SCHEME, "value"]);
    await send("DELETE", "users/me/sessions/current", { token }).catch((error) => {
      if (error.status !== 401) throw error; // It has ended.
    });
    viewer.authActions.logout([SCHEME]);
    form.elements.email.focus();
  }

  /** One thing at a time; shows why it failed. */
  async function attempt(work) {
    if (form.hasAttribute("aria-busy")) return;
    form.setAttribute("aria-busy", "true");
    fail("");
    try {
      await work();
    } catch (error) {
      fail(error.message);
    } finally {
      form.removeAttribute("aria-busy");
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(() => signIn(event.submitter?.value === "signup"));
  });
  part("sign-out").addEventListener("click", () => attempt(signOut));

  return {
    /** Follows the viewer's own dialog too. */
    plugin: {
      statePlugins: {
        auth: {
          wrapActions: {
            authorize: (original) => (schemes) => {
              show(schemes[SCHEME]?.value);
              return original(schemes);
            },
            logout: (original) => (names) => {
              show();
              return original(names);
            },
          },
        },
      },
    },

    /** Takes the token of an operation that gives one; forgets one that is no longer good. */
    responseInterceptor(response) {
      const paths = ["users/signin", "users/token"].map((path) => new URL(path, base).href);
      if (response.ok && paths.includes(response.url)) take(response.obj.token);
      if (response.status === 401 && response.headers["www-authenticate"]?.includes("invalid_token")) {
        viewer.authActions.logout([SCHEME]);
        fail("Your session has ended. Sign in again.");
      }
      return response;
    },

    attach(ui) {
      viewer = ui;
      form.hidden = false;
    },
  };
}

/** What a problem says (RFC 9457), if it is one. The details of fields are not whole sentences: "must not be empty". */
function reason({ detail, errors = [] }) {
  const sentence = ({ field, detail }) => `The ${field === "email" ? "e-mail address" : field} ${detail}.`;
  return errors.length > 0 ? errors.map(sentence).join(" ") : detail;
}
