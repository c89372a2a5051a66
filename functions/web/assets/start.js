// Loads the page's modules.
//
// The page is at the API's base, which may be opened without the slash at its end: `https://host/v1`. Relative references
// then lead out of the base, except those that are only a query, as in `index.html`. So the address gets its slash first,
// without a reload, and all other references are ordinary ones.

const address = new URL(location);
if (!address.pathname.endsWith("/")) {
  address.pathname += "/";
  history.replaceState(history.state, "", address);
}

// In parallel, instead of one after the other as they import each other.
const program = ["web/web.js", "web/account.js", "web/api.js", "web/forms.js", "web/session.js", "web/tasks.js"];
for (const file of program) import(new URL(file, document.baseURI));
