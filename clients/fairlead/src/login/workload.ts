import { tokenExpiryMs } from "@fairlead/authentication/token-claims";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { EnvHttpProxyAgent, fetch } from "undici";
import type { AzurePipelinesLogin, GithubActionsLogin } from "../profiles/profile.ts";

/** How long the answer may take, in milliseconds. */
const ANSWER_MS = 10_000;

/**
 * The token of a job of GitHub Actions, which its workflow lets it have by `permissions: id-token: write`.
 *
 * @throws FairleadError TOKEN_REFUSED outside of such a job, UNREACHABLE
 */
export async function githubActionsToken({ audience }: GithubActionsLogin): Promise<string> {
  const { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: bearer } = process.env;
  if (!url || !bearer) {
    throw refused(
      "this job of GitHub Actions may not have a token; give its workflow `permissions: id-token: write` " +
        "(a pull request from a fork never has one)",
    );
  }
  const asked = new URL(url);
  asked.searchParams.set("audience", audience);
  return ask("GitHub Actions", asked, "GET", bearer, "value");
}

/**
 * The token of a job of Azure Pipelines, by a service connection that the pipeline may use.
 *
 * @throws FairleadError TOKEN_REFUSED outside of such a job, UNREACHABLE
 */
export async function azurePipelinesToken({ serviceConnection }: AzurePipelinesLogin): Promise<string> {
  const { SYSTEM_OIDCREQUESTURI: url, SYSTEM_ACCESSTOKEN: bearer } = process.env;
  if (!url || !bearer) {
    throw refused(
      "this is no job of Azure Pipelines, or its step is not given `env: SYSTEM_ACCESSTOKEN: $(System.AccessToken)`",
    );
  }
  const asked = new URL(url);
  asked.searchParams.set("api-version", "7.1");
  asked.searchParams.set("serviceConnectionId", serviceConnection);
  return ask("Azure Pipelines", asked, "POST", bearer, "oidcToken");
}

async function ask(who: string, url: URL, method: string, bearer: string, key: string): Promise<string> {
  const headers = { authorization: `Bearer ${bearer}`, accept: "application/json", "content-type": "application/json" };
  const dispatcher = new EnvHttpProxyAgent();
  try {
    const answer = await fetch(url, { method, headers, dispatcher, signal: AbortSignal.timeout(ANSWER_MS) });
    const token = Object(await answer.json().catch(() => ({})))[key];
    if (answer.ok && typeof token === "string" && tokenExpiryMs(token) !== undefined) return token;
    throw refused(`${who} gave no token (HTTP ${answer.status})`);
  } catch (cause) {
    if (cause instanceof FairleadError) throw cause;
    const reason = Object(Object(cause).cause).code ?? Object(cause).message;
    const sentence = `${who} cannot be asked for a token: ${reason}`;
    throw new FairleadError(ErrorCode.UNREACHABLE, Hop.CLIENT_PROXY, sentence, { cause });
  } finally {
    void dispatcher.close();
  }
}

function refused(sentence: string): FairleadError {
  return new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.CLIENT_PROXY, sentence);
}
