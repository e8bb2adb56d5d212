import { Agent, fetch, type Response } from "undici";

/** How many pages a login may take. */
const MAX_PAGES = 20;

/** Where a browser ended up. */
export interface LastPage {
  status: number;
  url: string;
  body: string;
}

/**
 * Goes through a login as a person would with a browser: follows redirects, keeps cookies, fills in each form with the
 * name, and sends it.
 *
 * @param start where the person begins
 * @param name what they enter as their name, with any password; undefined: they turn the login down
 * @param ca PEM of the authority of the issuer's certificate
 */
export async function browse(start: string, name: string | undefined, ca: string): Promise<LastPage> {
  const dispatcher = new Agent({ connect: { ca } });
  const cookies = new Map<string, string>();
  try {
    let request: { url: string; body?: URLSearchParams } = { url: start };
    for (let pages = 0; pages < MAX_PAGES; pages++) {
      const answer = await fetch(request.url, {
        ...(request.body && { method: "POST", body: request.body }),
        headers: { cookie: [...cookies].map(([key, value]) => `${key}=${value}`).join("; ") },
        redirect: "manual",
        dispatcher,
      });
      keepCookies(answer, cookies);
      const location = answer.headers.get("location");
      const body = await answer.text();
      const next = location === null ? nextPage(body, name) : { url: location };
      if (next === undefined) return { status: answer.status, url: request.url, body };
      request = { ...next, url: new URL(next.url, request.url).href };
    }
    throw new Error(`the login did not end within ${MAX_PAGES} pages`);
  } finally {
    await dispatcher.close();
  }
}

function keepCookies(answer: Response, cookies: Map<string, string>): void {
  for (const line of answer.headers.getSetCookie()) {
    const [, key = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    if (value === "") cookies.delete(key);
    else cookies.set(key, value);
  }
}

/** What a person does with a page: turns it down, or sends its form; nothing if there is none. */
function nextPage(html: string, name: string | undefined): { url: string; body?: URLSearchParams } | undefined {
  const abort = /href="([^"]*\/abort)"/.exec(html)?.[1];
  if (name === undefined && abort !== undefined) return { url: abort };
  const [form] = /<form[\s\S]*?<\/form>/.exec(html) ?? [];
  const action = form && /action="([^"]+)"/.exec(form)?.[1];
  if (form === undefined || action === undefined) return undefined;
  const body = new URLSearchParams();
  for (const [input] of form.matchAll(/<input[^>]*>/g)) {
    const key = /name="([^"]+)"/.exec(input)?.[1];
    if (key === undefined || /type="submit"/.test(input)) continue;
    const typed = key === "login" ? (name ?? "") : key === "password" ? "any" : undefined;
    body.set(key, typed ?? /value="([^"]*)"/.exec(input)?.[1] ?? "");
  }
  return { url: action.replaceAll("&amp;", "&"), body };
}
