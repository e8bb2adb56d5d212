import type { IncomingHttpHeaders } from "node:http";
import { describe, expect, it } from "@jest/globals";
import { laneWayOf, wayExtras } from "./lane-way.ts";
import { requestHead } from "./requester-fixture.ts";

const way = { relay: "https://relay.example.com", session: "a1b2c3" };

describe("the way that a lane's requests come", () => {
  it("is what the agent's metadata say", () => {
    expect(laneWayOf({ "fairlead-relay": way.relay, "fairlead-session": way.session })).toEqual(way);
  });

  it("is not known without metadata, as of an older agent", () => {
    expect(laneWayOf({})).toEqual({ relay: undefined, session: undefined });
  });

  it.each([
    ["empty", ""],
    ["with a blank", "a b"],
    ["with a line's end", "a\nb"],
    ["not ASCII", "größe"],
    ["long", "a".repeat(254)],
    ["repeated", ["a", "b"]],
  ])("leaves out a claim that is %s", (_what, value) => {
    expect(laneWayOf({ "fairlead-relay": value, "fairlead-session": "ok" } as IncomingHttpHeaders)).toEqual({
      relay: undefined,
      session: "ok",
    });
  });
});

describe("the extras that name the way of a request", () => {
  it("are relay, cluster, session and client", () => {
    expect(wayExtras(way, requestHead({ cluster: "prod-eu1", client: "fairlead/0.1.0" }))).toEqual({
      "fairlead.dev/relay": ["https://relay.example.com"],
      "fairlead.dev/cluster": ["prod-eu1"],
      "fairlead.dev/session": ["a1b2c3"],
      "fairlead.dev/client": ["fairlead/0.1.0"],
    });
  });

  it("are never empty, which an apiserver would refuse", () => {
    const extras = wayExtras(laneWayOf({}), requestHead({ cluster: "prod-eu1", client: "" }));
    expect(extras).toEqual({ "fairlead.dev/cluster": ["prod-eu1"] });
  });
});
