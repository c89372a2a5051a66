// Keeps one release of the page in the browser, so that it opens at once, and without a network.
//
// A release is kept whole or not at all. The next one is kept beside it and then takes over: pages that are open go on with
// the files they have, and pages that are opened from then on are of the next release.

/** The page: this worker's scope, which is the API's base. */
const page = registration.scope;

/** What the page asks for. The large icons are the system's business. */
const assets = [
  "web/releases/__VERSION__/web.js",
  ...["style.css", "icon.svg", "manifest.webmanifest"].map((name) => `?asset=${name}&version=__VERSION__`),
].map((reference) => new URL(reference, page).href);

/** APIs on one host, such as `/v1` and `/v2`, share the origin's caches. */
const prefix = `task-api-page ${new URL(page).pathname} `;
const release = `${prefix}__VERSION__`;

addEventListener("install", (event) => event.waitUntil(keep()));
addEventListener("activate", (event) => event.waitUntil(tidy()));

addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.mode === "navigate" && isPage(url)) event.respondWith(kept(release, page, event.request));
  else if (isOfRelease(url)) event.respondWith(kept(undefined, url.href, event.request));
  // All else is the network's.
});

/** With any query, such as a filter, except the name of a file. */
function isPage(url) {
  return url.origin + url.pathname === page && !url.searchParams.has("asset");
}

function isOfRelease(url) {
  return url.href.startsWith(`${page}web/releases/`) || url.href.startsWith(`${page}?asset=`);
}

/** Fetches the release; its files come from the browser's cache if the page has just loaded them. */
async function keep() {
  const answers = await Promise.all([page, ...assets].map(fetchOfRelease));
  const cache = await caches.open(release);
  await Promise.all(answers.map(([url, answer]) => cache.put(url, answer)));
  await skipWaiting();
}

/** Throws, so that the browser tries again later, while another release answers, as it may during a deployment. */
async function fetchOfRelease(url) {
  const answer = await fetch(url, { cache: url === page ? "no-cache" : "default" });
  const isOfRelease =
    url === page
      ? (await answer.clone().text()).includes("__VERSION__")
      : answer.headers.get("cache-control")?.includes("immutable");
  if (!answer.ok || answer.redirected || !isOfRelease) throw new Error(`${url} is not of this release`);
  return [url, answer];
}

/** Deletes older releases but the last, for pages of it that are still being loaded. */
async function tidy() {
  const others = (await caches.keys()).filter((name) => name.startsWith(prefix) && name !== release);
  await Promise.all(others.slice(0, -1).map((name) => caches.delete(name)));
}

/** What is kept; or the network's answer, should the browser have thrown it away. */
async function kept(cacheName, url, request) {
  return (await caches.match(url, { cacheName, ignoreVary: true })) ?? fetch(request);
}
