// Signing up and in, changing the password, deleting the account.

import { NoAnswer } from "./api.js";
import { Notice, clearErrors, onSubmit } from "./forms.js";

const byId = (id) => document.getElementById(id);

/** The two forms for those who are not signed in. `onSession` takes what the API answered to a sign-in. */
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
        // There is an account now: to sign up again would be refused.
        turnTo(signIn);
        signIn.elements.email.value = email;
        farewell.textContent = "Your account is made. Please sign in.";
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
    /** Shows the sign-in form, with a word on why, for the address that was signed in. */
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
 * The dialog for those who are. `onSession` takes the session after a change of password, `onEnd` is told why there is
 * none any more, `say` tells the person what was done.
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
        throw new Notice("No answer came, so the password may be the new one by now, or not. Sign out and try which.");
      }
      // The change has ended the page's own session too: a new one begins with the new password.
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
    /** Shows whose account it is, as soon as that is known. */
    async show() {
      bar.hidden = false;
      label.textContent = email || "…";
      try {
        ({ email } = await api.account());
      } catch {
        // Not worth a word: what matters to the person fails on its own, and says so.
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
