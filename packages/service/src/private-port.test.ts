import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { openPrivatePort, splitAddress } from "./private-port.ts";

describe("an address", () => {
  it.each<[address: string, host: string, port: number]>([
    ["127.0.0.1:8443", "127.0.0.1", 8443],
    ["0.0.0.0:0", "0.0.0.0", 0],
    ["localhost:65535", "localhost", 65_535],
    ["relay.example.com:443", "relay.example.com", 443],
    ["[::1]:8443", "::1", 8443],
    ["[fe80::AB]:1", "fe80::AB", 1],
    ["[::]:80", "::", 80],
    [":8443", "", 8443],
  ])("%s is a host and a port", (address, host, port) => {
    expect(splitAddress(address)).toEqual([host, port]);
  });

  it.each([
    [""],
    ["8443"],
    ["localhost"],
    ["localhost:"],
    ["localhost:http"],
    ["localhost:-1"],
    ["localhost:65536"],
    ["localhost:99999"],
    ["localhost:100000"],
    ["localhost:80:80"],
    ["::1:8443"],
    ["[::1]"],
    ["[]:80"],
    ["https://localhost:8443"],
    ["localhost:80\n"],
  ])("%j is none, and the error says what one is", (address) => {
    expect(() => splitAddress(address)).toThrow(/an address is HOST:PORT, such as/);
  });
});

describe("the private port", () => {
  let server: Server;
  let url: string;
  let problem: string | undefined;
  let lanes: number;
  let refusals: Record<string, number>;

  beforeEach(async () => {
    problem = undefined;
    lanes = 3;
    refusals = { user: 0, relay: 0 };
    const totals = () => [{ name: "refused_exchanges", label: "limit", values: refusals }];
    const observed = { notReady: () => problem, counts: () => ({ lanes, waiting_exchanges: 0 }), totals };
    server = await openPrivatePort("127.0.0.1:0", observed);
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  afterEach(async () => {
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  });

  const get = async (path: string) => {
    const response = await fetch(url + path);
    return { status: response.status, type: response.headers.get("content-type"), text: await response.text() };
  };

  it("says that the process lives, also when it cannot serve", async () => {
    problem = "not attached to the relay";
    expect(await get("/healthz")).toMatchObject({ status: 200, text: "ok\n" });
  });

  it("says that the process can serve", async () => {
    expect(await get("/readyz")).toMatchObject({ status: 200, text: "ok\n" });
  });

  it("says why the process cannot serve, and that it can again", async () => {
    problem = "not attached to the relay";
    expect(await get("/readyz")).toMatchObject({ status: 503, text: "not attached to the relay\n" });
    problem = undefined;
    expect(await get("/readyz")).toMatchObject({ status: 200 });
  });

  it("tells the counts of the moment to Prometheus", async () => {
    expect((await get("/metrics")).text).toMatch(/^fairlead_lanes 3$/m);
    lanes = 5;
    const metrics = await get("/metrics");
    expect(metrics.type).toMatch(/^text\/plain/);
    expect(metrics.text).toMatch(/^fairlead_lanes 5$/m);
    expect(metrics.text).toMatch(/^# HELP fairlead_waiting_exchanges How many waiting exchanges there are now\.$/m);
  });

  it("tells the totals since the start to Prometheus, as counters by kind, also of what never happened", async () => {
    const { text } = await get("/metrics");
    expect(text).toMatch(/^# TYPE fairlead_refused_exchanges_total counter$/m);
    expect(text).toMatch(/^# HELP fairlead_refused_exchanges_total How many refused exchanges .*, by limit\.$/m);
    expect(text).toMatch(/^fairlead_refused_exchanges_total\{limit="user"\} 0$/m);
    refusals = { user: 2, relay: 1 };
    for (let i = 0; i < 2; i++) {
      const again = (await get("/metrics")).text;
      expect(again).toMatch(/^fairlead_refused_exchanges_total\{limit="user"\} 2$/m);
      expect(again).toMatch(/^fairlead_refused_exchanges_total\{limit="relay"\} 1$/m);
    }
  });

  it("tells the longest stall of the event loop to Prometheus, in milliseconds", async () => {
    await get("/metrics");
    await new Promise((resolve) => setTimeout(resolve, 50)); // from one sample on
    const untilMs = performance.now() + 200;
    while (performance.now() < untilMs);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const [, stallMs] =
      /^fairlead_event_loop_stall_max_milliseconds ([\d.]+)$/m.exec((await get("/metrics")).text) ?? [];
    expect(Number(stallMs)).toBeGreaterThan(170);
  });

  it("names its paths for any other", async () => {
    expect(await get("/")).toMatchObject({ status: 404, text: "paths: /healthz /readyz /metrics\n" });
  });

  it("is refused where the port is taken", async () => {
    const taken = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    await expect(openPrivatePort(taken, { notReady: () => undefined, counts: () => ({}) })).rejects.toThrow(
      /EADDRINUSE/,
    );
  });
});
