// The account's part of the page's header.

const byId = (id) => document.getElementById(id);

/** Shows the account's address. `onOpen` is called when the account's dialog is wanted. */
export function accountBar(api, { onOpen }) {
  const bar = byId("account-bar");
  const places = ["account-email", "account-address"].map(byId);
  /** Password managers need the user name. */
  const userName = byId("change-password").elements.email;
  let email = "";

  function name(address) {
    email = address;
    for (const place of places) place.textContent = email || "this browser";
    userName.value = email;
  }

  byId("open-account").addEventListener("click", onOpen);

  return {
    show() {
      bar.hidden = false;
      places[0].textContent = email || "…";
      return this.load();
    },
    /** Asks for the address, which may have been changed elsewhere. */
    async load() {
      try {
        this.know(await api.account());
      } catch {
        // No message: the address is not essential, and other calls report their own errors.
        name(email);
      }
    },
    /** Shows the account's address, unless it is another's by now. */
    know(account) {
      if (account.id === api.session?.user_id) name(account.email);
    },
    hide() {
      bar.hidden = true;
      name("");
    },
    get email() {
      return email;
    },
  };
}
