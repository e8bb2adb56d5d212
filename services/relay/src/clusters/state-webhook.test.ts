import { createHmac } from "node:crypto";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { ClusterState } from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { Mailbox } from "../mailbox-fixture.ts";
import type { ClusterStates, ClusterStatus, StateChange } from "./cluster-states.ts";
import { StateWebhook, secretOf } from "./state-webhook.ts";

const { CONNECTED, OFFLINE, DEGRADED } = ClusterState;
const SECRET = Buffer.from("0123456789abcdef0123456789abcdef");

interface Delivery {
  headers: IncomingHttpHeaders;
  body: string;
}

let server: Server;
let webhook: StateWebhook;
let deliveries: Mailbox<Delivery>;
/** What the next deliveries are answered with; 200 when there is none left. */
let answers: (number | "cut")[];
let logged: string[];
const current = new Map<string, ClusterStatus>();
let tell: (change: StateChange) => void;

beforeEach(async () => {
  deliveries = new Mailbox();
  [answers, logged] = [[], []];
  current.clear();
  server = createServer(async (request, response) => {
    const answer = answers.shift() ?? 200;
    deliveries.put({ headers: request.headers, body: await text(request) });
    if (answer === "cut") response.destroy();
    else response.writeHead(answer, answer === 302 ? { location: "/elsewhere" } : {}).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const states = {
    of: (cluster: string) => current.get(cluster),
    onChange: (listener: typeof tell) => {
      tell = listener;
      return () => {};
    },
  } as unknown as ClusterStates;
  const write = (...args: unknown[]) => void logged.push(JSON.stringify(args));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  const log = { warn: write, error: write } as unknown as Logger;
  webhook = new StateWebhook(states, { url, secret: SECRET, log, settleMs: 20, firstWaitMs: 1 });
});

afterEach(async () => {
  webhook.stop();
  server.closeAllConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
});

/** A cluster's state becomes another. */
function become(cluster: string, state: ClusterState, from = CONNECTED): void {
  const before = current.get(cluster) ?? { state: from, reason: "", sinceMs: 0 };
  const now = { state, reason: state === CONNECTED ? "" : "it left", sinceMs: 60_000 };
  current.set(cluster, now);
  tell({ cluster, now, before });
}

const dataOf = ({ body }: Delivery) => JSON.parse(body).data;
/** Longer than a state has to last. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 80));

describe("a change of a cluster's state", () => {
  it("is told with what it was before, why and since when, and signed as Standard Webhooks has it", async () => {
    become("prod", OFFLINE);
    const { headers, body } = await deliveries.take();
    expect(JSON.parse(body)).toMatchObject({
      type: "cluster.state",
      data: {
        cluster: "prod",
        state: "Offline",
        before: "Connected",
        reason: "it left",
        since: "1970-01-01T00:01:00.000Z",
      },
    });
    const [id, at] = [headers["webhook-id"], headers["webhook-timestamp"]];
    const signature = createHmac("sha256", SECRET).update(`${id}.${at}.${body}`).digest("base64");
    expect(headers["webhook-signature"]).toBe(`v1,${signature}`);
    expect(Math.abs(Number(at) - Date.now() / 1_000)).toBeLessThan(10);
    expect(headers["content-type"]).toBe("application/json");
  });

  it("that does not last is told to nobody", async () => {
    become("prod", OFFLINE);
    become("prod", CONNECTED);
    await settled();
    expect(deliveries.size).toBe(0);
  });

  it("is told once when only its reason changes", async () => {
    become("prod", OFFLINE);
    await deliveries.take();
    become("prod", OFFLINE);
    await settled();
    expect(deliveries.size).toBe(0);
  });

  it.each<[what: string, answer: number | "cut"]>([
    ["with an error", 500],
    ["with a redirect, which is not followed", 302],
    ["not at all", "cut"],
  ])("is told again, under the same id, to a server that answers %s", async (_what, answer) => {
    answers = [answer, answer];
    become("prod", OFFLINE);
    const all = [await deliveries.take(), await deliveries.take(), await deliveries.take()];
    expect(new Set(all.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
    await settled();
    expect(deliveries.size).toBe(0);
    expect(logged).toHaveLength(2);
  });

  it("is told no more when it is out of date: the one after it is", async () => {
    answers = Array.from({ length: 6 }, () => 503);
    become("prod", OFFLINE);
    await deliveries.take();
    become("prod", DEGRADED);
    for (;;) {
      const { state, before } = dataOf(await deliveries.take());
      if (state !== "Degraded") continue;
      expect(before).toBe("Offline");
      break;
    }
  });

  it("is given up after twelve attempts, said so, and the next one is told", async () => {
    answers = Array.from({ length: 12 }, () => 500);
    become("prod", OFFLINE);
    for (let i = 0; i < 12; i++) await deliveries.take();
    become("stage", OFFLINE);
    expect(dataOf(await deliveries.take())).toMatchObject({ cluster: "stage" });
    expect(logged.join()).toMatch(/it is not told/);
  }, 60_000);

  it("of many clusters at once is told of each", async () => {
    const names = Array.from({ length: 50 }, (_, i) => `c${i}`);
    for (const name of names) become(name, OFFLINE);
    const told = [];
    while (told.length < names.length) told.push(dataOf(await deliveries.take()).cluster);
    expect(told.sort()).toEqual(names.sort());
  });

  it("of a cluster that was removed is told to nobody", async () => {
    become("prod", OFFLINE);
    tell({ cluster: "prod", now: undefined, before: { state: OFFLINE, reason: "", sinceMs: 0 } });
    await settled();
    expect(deliveries.size).toBe(0);
  });

  it("has nothing of the secret in the log", async () => {
    answers = [500];
    become("prod", OFFLINE);
    await deliveries.take();
    await deliveries.take();
    expect(logged.join()).not.toContain(SECRET.toString());
    expect(logged.join()).not.toContain(SECRET.toString("base64"));
  });
});

describe("a webhook's secret", () => {
  it("is read as Standard Webhooks writes it", () => {
    expect(secretOf(`whsec_${SECRET.toString("base64")}\n`)).toEqual(SECRET);
  });

  it.each(["", "whsec_", "whsec_c2hvcnQ=", SECRET.toString("base64"), "whsec_not base64 at all, canary"])(
    "is refused if it is %j, without a word of it",
    (secret) => {
      expect(() => secretOf(secret)).toThrow(/whsec_` and at least 24 bytes/);
      expect(() => secretOf(secret)).not.toThrow(/canary/);
    },
  );
});
