import { timestampMs } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { issueRelayTls, RelayFixture, type RelayTls } from "./relay-fixture.ts";

let tls: RelayTls;
let relay: RelayFixture;

beforeAll(async () => {
  tls = await issueRelayTls();
});
beforeEach(async () => {
  relay = await RelayFixture.start(tls);
});
afterEach(() => relay.close());

describe("a relay that is asked how people log in", () => {
  it("says nothing if its operator said nothing", async () => {
    expect((await relay.rpc(undefined).relay.getRelay({})).login).toBeUndefined();
  });

  it("says what its operator said, to anybody", async () => {
    relay.login = { issuer: "https://login.example.com", clientId: "fairlead", scopes: ["openid"] };
    await relay.stop(0);
    await relay.startAgain();
    const { login } = await relay.rpc(undefined).relay.getRelay({});
    expect(login).toMatchObject({ issuer: "https://login.example.com", clientId: "fairlead", resource: "" });
    expect(login?.scopes).toEqual(["openid"]);
  });
});

describe("a caller who asks who they are", () => {
  it("is told the name, groups and end of the token", async () => {
    const caller = await relay.as("jane", "dev", "ops").caller.getCaller({});
    expect(caller).toMatchObject({ user: "jane", groups: ["dev", "ops"], administrator: false });
    expect(Number(caller.expireTime && timestampMs(caller.expireTime))).toBeGreaterThan(Date.now());
  });

  it("is told that they administer the relay", async () => {
    expect(await relay.as("root").caller.getCaller({})).toMatchObject({ user: "root", administrator: true });
  });

  it.each([
    ["nothing", undefined],
    ["no token of an issuer that counts", "a.b.c"],
  ])("with %s is refused", async (_what, token) => {
    const error = await relay
      .rpc(token)
      .caller.getCaller({})
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ConnectError);
    expect(String(error)).toMatch(/token/);
  });
});
