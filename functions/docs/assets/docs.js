// Shows the OpenAPI document with Swagger UI.

/** The API's base: this page is its `docs`, with or without a slash at the end. */
const base = new URL(location.pathname.endsWith("/") ? ".." : ".", location);

/** Retries: without these files the page is empty. */
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
      reject(new Error(`${attributes.src ?? attributes.href} could not be loaded`));
    });
    document.head.append(element);
  });
}

async function contract() {
  const response = await fetch(new URL("openapi.json", base));
  if (!response.ok) throw new Error(`openapi.json: ${response.status}`);
  // The server in the document is relative; show the absolute URL.
  return { ...(await response.json()), servers: [{ url: base.href.replace(/\/$/, "") }] };
}

try {
  const [spec] = await Promise.all([
    again(contract),
    again(() => load("link", { rel: "stylesheet", href: new URL("docs/swagger-ui.css", base) })),
    again(() => load("script", { src: new URL("docs/swagger-ui-bundle.js", base) })),
  ]);
  // The token stays in this page and is lost when the page is left.
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
