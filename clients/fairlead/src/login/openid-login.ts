import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { tell } from "../output.ts";
import type { OpenIdLogin } from "../profiles/profile.ts";
import { loginByBrowser } from "./by-browser.ts";
import { loginByDeviceCode, offersDeviceCode } from "./by-device-code.ts";
import type { KeptLogin } from "./login-store.ts";
import { hasBrowser, openBrowser } from "./open-browser.ts";
import { discover, keptLogin } from "./openid.ts";

/** How long a person may take, in milliseconds. */
const PERSON_MS = 5 * 60_000;

/** How a person is to log in. */
export interface PersonOptions {
  /** By a code; undefined: where there is no browser. */
  device?: boolean;
  /** The port that the issuer sends the browser back to; 0 for any. */
  redirectPort: number;
}

/**
 * Logs a person in, by their browser or by a device code. Tells on standard error what they have to do.
 *
 * @param relay the origin that the token is for
 * @throws FairleadError TOKEN_REFUSED, UNREACHABLE, TIMED_OUT after 5 minutes
 */
export async function openIdLogin(of: OpenIdLogin, relay: string, options: PersonOptions): Promise<KeptLogin> {
  const provider = await discover(of);
  const late = new AbortController();
  const timer = setTimeout(() => {
    late.abort(new FairleadError(ErrorCode.TIMED_OUT, Hop.CLIENT_PROXY, "nobody logged in within 5 minutes"));
  }, PERSON_MS);
  const { signal } = late;
  try {
    const byCode = options.device ?? (!hasBrowser() && offersDeviceCode(provider));
    const answer = byCode
      ? await loginByDeviceCode(provider, of, { show: ({ address, code }) => showCode(address, code), signal })
      : await loginByBrowser(provider, of, { redirectPort: options.redirectPort, show: showAddress, signal });
    return keptLogin(of, relay, answer);
  } finally {
    clearTimeout(timer);
  }
}

function showCode(address: string, code: string): void {
  tell(
    `In a browser, open:\n    ${address}\nand see that it shows this code, or enter it:\n    ${code}\nWaiting for you …`,
  );
}

function showAddress(url: URL): void {
  void openBrowser(url).then((isOpen) => {
    const lead = isOpen ? "Your browser opens. If it does not, open:" : "In a browser of this machine, open:";
    tell(`${lead}\n    ${url.href}\nWaiting for you …`);
  });
}
