// Fills the page.

/** Where the API is: this page is its `docs`, opened with a slash at the end or without. */
const base = new URL(location.pathname.endsWith("/") ? ".." : ".", location);

/** What does not come is asked for again, a few times: the page is nothing without it. */
async function again(ask, attempts = 5) {
  for (;;) {
    try {
      return await ask();
    } catch (failure) {
      if (--attempts === 0) throw failure;
    }
  }
}

function load(name, attributes) {
  return new Promise((resolve, reject) => {
    const element = Object.assign(document.createElement(name), attributes);
    element.addEventListener("load", resolve);
    element.addEventListener("error", () => {
      element.remove();
      reject(new Error(`${attributes.src ?? attributes.href} did not come`));
    });
    document.head.append(element);
  });
}

async function contract() {
  const response = await fetch(new URL("openapi.json", base));
  if (!response.ok) throw new Error(`openapi.json: ${response.status}`);
  // The document's server is relative to it; here one sees where that leads.
  return { ...(await response.json()), servers: [{ url: base.href.replace(/\/$/, "") }] };
}

try {
  const [spec] = await Promise.all([
    again(contract),
    again(() => load("link", { rel: "stylesheet", href: new URL("docs/swagger-ui.css", base) })),
    again(() => load("script", { src: new URL("docs/swagger-ui-bundle.js", base) })),
  ]);
  // The token that is entered stays in this page: it is not kept when the page is left.
  SwaggerUIBundle({
    spec,
    dom_id: "#reference",
    deepLinking: true,
    displayRequestDuration: true,
    tryItOutEnabled: true,
    defaultModelsExpandDepth: 0,
    persistAuthorization: false,
    validatorUrl: null,
  });
} catch (failure) {
  document.querySelector("#reference").textContent = `The reference cannot be shown: ${failure.message}.`;
}
