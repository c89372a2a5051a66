// Changing the password, deleting the account.

import { NoAnswer } from "./api.js";
import { Notice, clearErrors, onSubmit } from "./forms.js";

const byId = (id) => document.getElementById(id);

/** The account dialog. `onEnd` is called when the account is deleted, with a text that says so; `say` shows what was done. */
export function accountDialog(api, { onEnd, say }) {
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
      dialog.close();
      say("Your password is changed.");
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
      label.textContent = email || "this browser";
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
