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

/** Swagger UI has a dark theme, and leaves it to the page to choose it. */
function followScheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const choose = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", choose);
  choose();
}

followScheme();
try {
  const [spec, { session }, { accessible }] = await Promise.all([
    again(contract),
    again(() => import(new URL("docs/session.js", base))),
    again(() => import(new URL("docs/accessible.js", base))),
    again(() => load("link", { rel: "stylesheet", href: new URL("docs/swagger-ui.css", base) })),
    again(() => load("script", { src: new URL("docs/swagger-ui-bundle.js", base) })),
  ]);
  const { plugin, responseInterceptor, attach } = session(base);
  const viewer = SwaggerUIBundle({
    spec,
    dom_id: "#reference",
    deepLinking: true,
    displayRequestDuration: true,
    tryItOutEnabled: true,
    defaultModelsExpandDepth: 0,
    persistAuthorization: false,
    validatorUrl: null,
    plugins: [plugin, accessible(document.querySelector("#reference"))],
    responseInterceptor,
  });
  attach(viewer);
} catch (failure) {
  document.querySelector("#reference").textContent = `The reference cannot be shown: ${failure.message}.`;
}
