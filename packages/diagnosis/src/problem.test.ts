import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { failureOf } from "./problem.ts";

const { UNREACHABLE, ACCESS_DENIED, OWN_CREDENTIAL_REFUSED, TOKEN_REFUSED, TIMED_OUT } = ErrorCode;
const { CLUSTER_UNKNOWN, AGENT_NOT_CONNECTED, LIMIT_EXCEEDED } = ErrorCode;

describe("an error of the tunnel's", () => {
  it.each([
    [UNREACHABLE, Hop.APISERVER, "apiserver"],
    [UNREACHABLE, Hop.IDENTITY_PROXY, "identity-proxy"],
    [ACCESS_DENIED, Hop.IDENTITY_PROXY, "rights"],
    [OWN_CREDENTIAL_REFUSED, Hop.IDENTITY_PROXY, "rights"],
    [UNREACHABLE, Hop.AGENT, "agent"],
  ] as const)("of the code %i at hop %i, as the agent reports it, is about %3$s", (code, hop, check) => {
    expect(failureOf(new FairleadError(code, hop, "broken; mend it"), true)).toMatchObject({ check });
  });

  it.each([
    [UNREACHABLE, Hop.APISERVER, "apiserver"],
    [UNREACHABLE, Hop.IDENTITY_PROXY, "identity-proxy"],
    [ACCESS_DENIED, Hop.IDENTITY_PROXY, "request"],
    [ACCESS_DENIED, Hop.RELAY, "request"],
    [TOKEN_REFUSED, Hop.IDENTITY_PROXY, "authentication"],
    [OWN_CREDENTIAL_REFUSED, Hop.APISERVER, "rights"],
    [CLUSTER_UNKNOWN, Hop.RELAY, "cluster"],
    [AGENT_NOT_CONNECTED, Hop.AGENT, "agent"],
    [TIMED_OUT, Hop.AGENT, "agent"],
    [LIMIT_EXCEEDED, Hop.RELAY, "request"],
  ] as const)("of the code %i at hop %i, of a request, is about %3$s", (code, hop, check) => {
    const failure = failureOf(new FairleadError(code, hop, "broken"), false);
    expect(failure).toMatchObject({
      check,
      seen: expect.stringMatching(/: broken$/),
      remedy: expect.stringMatching(/.+/),
    });
  });
});
