import { Hop, type HopTiming } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { serverTiming } from "./timings.ts";

const timing = (hop: Hop, durationUs: number): HopTiming => ({
  $typeName: "fairlead.tunnel.v1alpha1.HopTiming",
  hop,
  durationUs,
});

describe("the hops' timings", () => {
  it("are no header if none were asked for", () => {
    expect(serverTiming([], performance.now())).toEqual([]);
  });

  it("are one header, the nearest hop first, in milliseconds", () => {
    const timings = [timing(Hop.APISERVER, 1_000), timing(Hop.IDENTITY_PROXY, 2_345), timing(Hop.RELAY, 4_000_000)];
    const [name, value] = serverTiming(timings, performance.now() - 5_000);
    expect(name).toBe("Server-Timing");
    expect(value).toMatch(
      /^client-proxy;dur=50\d\d\.\d\d, relay;dur=4000\.00, identity-proxy;dur=2\.35, apiserver;dur=1\.00$/,
    );
  });
});
