// Sign-up, sign-in, changing the password, deleting the account.

import { NoAnswer } from "./api.js";
import { Notice, clearErrors, onSubmit } from "./forms.js";

const byId = (id) => document.getElementById(id);

/** The sign-in and sign-up forms. `onSession` is called with the response to a sign-in. */
export function welcome(api, onSession) {
  const [section, farewell, signIn, signUp] = ["welcome", "farewell", "sign-in", "sign-up"].map(byId);

  async function enter(email, password) {
    const session = await api.signIn(email, password);
    signIn.reset();
    signUp.reset();
    onSession(session);
  }

  onSubmit(signIn, ({ email, password }) => enter(email, password));

  onSubmit(
    signUp,
    async ({ email, password }) => {
      await api.signUp(email, password);
      try {
        await enter(email, password);
      } catch (error) {
        // The account exists now, so signing up again would fail.
        turnTo(signIn);
        signIn.elements.email.value = email;
        farewell.textContent = "Your account was created. Please sign in.";
        farewell.hidden = false;
        throw error;
      }
    },
    { 409: "email" },
  );

  function turnTo(form) {
    const other = form === signIn ? signUp : signIn;
    clearErrors(form);
    form.elements.email.value ||= other.elements.email.value;
    other.hidden = true;
    form.hidden = false;
    form.elements.email.focus();
  }
  byId("show-sign-up").addEventListener("click", () => turnTo(signUp));
  byId("show-sign-in").addEventListener("click", () => turnTo(signIn));

  return {
    /** Shows the sign-in form, with a reason, and with the address that was signed in. */
    show(why = "", email = "") {
      section.hidden = false;
      turnTo(signIn);
      farewell.textContent = why;
      farewell.hidden = why === "";
      signIn.elements.email.value ||= email;
      if (why) signIn.elements[email ? "password" : "email"].focus();
    },
    hide() {
      section.hidden = true;
      farewell.hidden = true;
    },
  };
}

/**
 * The account dialog. `onSession` is called with the new session after a change of password, `onEnd` with the reason why
 * there is no session any more; `say` shows what was done.
 */
export function accountDialog(api, { onSession, onEnd, say }) {
  const [dialog, changePassword, deleteAccount] = ["account-dialog", "change-password", "delete-account"].map(byId);
  const [bar, label] = ["account-bar", "account-email"].map(byId);
  let email = "";

  byId("open-account").addEventListener("click", () => dialog.showModal());
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    for (const form of [changePassword, deleteAccount]) {
      form.reset();
      clearErrors(form);
    }
  });

  onSubmit(
    changePassword,
    async ({ current_password, password }) => {
      try {
        ({ email } = await api.changePassword(current_password, password));
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error;
        throw new Notice("There was no response, so your password may or may not have changed. Sign out and try both.");
      }
      // The change has also ended this session: start a new one.
      try {
        onSession(await api.signIn(email, password));
        dialog.close();
        say("Your password is changed.");
      } catch {
        onEnd("Your password is changed. Please sign in with the new one.");
      }
    },
    { 401: "current_password" },
  );

  onSubmit(deleteAccount, async ({ sure }) => {
    if (!sure) throw new Notice("Tick this if you are sure.", "sure");
    await api.deleteAccount();
    onEnd("Your account and every task in it are deleted.");
  });

  return {
    /** Shows the account's address, as soon as it is known. */
    async show() {
      bar.hidden = false;
      label.textContent = email || "…";
      try {
        ({ email } = await api.account());
      } catch {
        // No message: the address is not essential, and other calls report their own errors.
      }
      label.textContent = email || "this tab";
      changePassword.elements.email.value = email;
    },
    hide() {
      bar.hidden = true;
      dialog.close();
      email = "";
    },
    get email() {
      return email;
    },
  };
}
