// Loads the page's program.
//
// The page is at the API's base, which may have been opened without the slash at its end: `https://host/v1`. What is
// relative to that is not below it, but for a reference that is a query alone, as `index.html` has them. So the page
// takes the address with the slash first, without being loaded again, and all other references are as usual.

const address = new URL(location);
if (!address.pathname.endsWith("/")) {
  address.pathname += "/";
  history.replaceState(history.state, "", address);
}

// All of it at once, instead of one after the other as they import each other.
const program = ["web/web.js", "web/account.js", "web/api.js", "web/forms.js", "web/session.js", "web/tasks.js"];
for (const file of program) import(new URL(file, document.baseURI));
