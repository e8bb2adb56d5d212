import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { eventually } from "../support/eventually.ts";
import { ForwardScene } from "../support/forward-scene.ts";
import { freePorts } from "../support/free-port.ts";
import { runProgram } from "../support/program.ts";
import { describeOnRealNode } from "../support/real-node-needs.ts";
import type { RunningProgram } from "../support/running-program.ts";
import { alice } from "../support/tunnel.ts";

const MEGABYTE = 1_000_000;

/** A connection that may be half-open, once it is there. */
async function dial(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  await once(socket, "connect");
  return socket;
}

/** Sends all, ends that direction, and reads what comes to its end. */
async function echoed(port: number, bytes: Buffer): Promise<Buffer> {
  const socket = await dial(port);
  socket.end(bytes);
  return buffer(socket);
}

/** The same failure, with what a forward has said of it. */
function saidBy(program: RunningProgram): (cause: unknown) => Promise<never> {
  return async (cause) => {
    await delay(1_000); // it says so after it has cut the connection
    throw new Error(`fairlead forward: ${program.stderr}`, { cause });
  };
}

/** The code of the error that a connection ends with; undefined if it ends in good order. */
function endOf(socket: Socket): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  let code: string | undefined;
  socket.on("error", (error: NodeJS.ErrnoException) => {
    code = error.code;
  });
  socket.on("close", () => resolve(code));
  socket.resume();
  return promise;
}

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

describeOnRealNode()("fairlead forward to a Service", () => {
  let scene: ForwardScene;

  beforeAll(async () => {
    scene = await ForwardScene.start();
  }, 900_000);

  afterAll(() => scene?.stop());

  it("says where it listens, and curl reads from the Service there", async () => {
    const [local] = await freePorts(1);
    const { program } = await scene.forwarding(["svc/web", "-n", "shop", `${local}:80`]);
    expect(program.stdout).toBe(`Forwarding from 127.0.0.1:${local} -> svc/web:80\n`);
    const url = `http://127.0.0.1:${local}/`;
    expect(await runProgram({ file: "curl", args: ["--silent", "--show-error", url] })).toBe("ahoy\n");
  });

  it("forwards several ports, by a name with its namespace, and tells programs", async () => {
    const program = scene.forward(["svc/web.shop", ":80", ":9000", "--output", "json"]);
    const [line] = await program.waitForOutput(/^\{.*\}$/m);
    const { ready, forwards } = JSON.parse(line);
    const service = { namespace: "shop", name: "web", address: expect.stringMatching(/^127\.0\.0\.1:\d+$/) };
    expect([ready, forwards]).toEqual([
      true,
      [
        { ...service, port: 80 },
        { ...service, port: 9000 },
      ],
    ]);
    const [http, echo] = forwards.map(({ address }: { address: string }) => Number(address.split(":")[1]));
    expect(await (await fetch(`http://127.0.0.1:${http}/`)).text()).toBe("ahoy\n");
    expect((await echoed(echo, Buffer.from("aye"))).toString()).toBe("aye");
  });

  it("carries 20 MB there and back, after the client has said all", async () => {
    const { port } = await scene.forwarding(["svc/web.shop", ":9000"]);
    const bytes = randomBytes(20 * MEGABYTE);
    expect(sha256(await echoed(port, bytes))).toBe(sha256(bytes));
  });

  it("goes on towards the client when the client has ended its direction", async () => {
    const { port } = await scene.forwarding(["svc/web.shop", ":9000"]);
    const socket = await dial(port);
    socket.write("before");
    await once(socket, "readable");
    socket.end(" and after");
    expect((await buffer(socket)).toString()).toBe("before and after");
  });

  it("carries a hundred connections that send at the same moment, each to its own end", async () => {
    const { port, program } = await scene.forwarding(["svc/web.shop", ":9000"]);
    const sockets: Socket[] = [];
    for (let number = 0; number < 100; number++) {
      const socket = await dial(port); // one after the other: busybox takes few that come at once, and resets others
      socket.write(`${number}:`);
      await once(socket, "readable").catch(saidBy(program));
      sockets.push(socket);
    }
    const all = sockets.map((_, number) => Buffer.from(`${number}:${`${number} `.repeat(10_000)}`));
    const answers = await Promise.all(
      sockets.map((socket, number) => {
        socket.end(`${number} `.repeat(10_000));
        return buffer(socket);
      }),
    ).catch(saidBy(program));
    expect(answers.map(sha256)).toEqual(all.map(sha256));
    expect(program.stderr).toBe("");
  });

  it("does not take in what the Service does not: a client that sends without end is stopped", async () => {
    const { port } = await scene.forwarding(["svc/web.shop", ":9000"]);
    const socket = await dial(port); // and does not read: so `cat` stops, and all before it
    let sent = 0;
    const piece = Buffer.alloc(MEGABYTE);
    const pour = (): void => {
      while (sent < 500 * MEGABYTE) {
        sent += piece.length;
        if (!socket.write(piece)) return void socket.once("drain", pour);
      }
    };
    pour();
    let last = -1;
    const stands = async (): Promise<boolean> => {
      const before = last;
      last = sent;
      await new Promise((resolve) => setTimeout(resolve, 500));
      return sent === before;
    };
    await eventually(stands, { what: "the flow to stop" });
    expect(sent).toBeLessThan(200 * MEGABYTE);
    expect((await echoed(port, Buffer.from("others go on"))).toString()).toBe("others go on");
    socket.destroy();
  });

  it("is on loopback only", async () => {
    const { port } = await scene.forwarding(["svc/web.shop", ":80"]);
    const elsewhere = connect({ port, host: scene.node.hostAddress });
    expect(await endOf(elsewhere)).toBe("ECONNREFUSED");
  });

  it("ends at Ctrl-C with 0, and what was under way is cut and looks so", async () => {
    const { port, program } = await scene.forwarding(["svc/web.shop", ":9000"]);
    const socket = await dial(port);
    socket.write("under way");
    await once(socket, "readable");
    const end = endOf(socket);
    program.signal("SIGINT");
    expect(await program.exited).toEqual({ code: 0, signal: null });
    expect(await end).toBe("ECONNRESET");
    expect(program.stderr).toBe("");
  });

  it("says who connected to what, and how much passed, in the identity proxy's record", async () => {
    const { port } = await scene.forwarding(["svc/web.shop", ":9000"]);
    await echoed(port, Buffer.alloc(12_345));
    const path = "/apis/tunnel.fairlead.dev/v1alpha1/namespaces/shop/services/web:9000/portforward";
    const ended = await eventually(
      async () => {
        const lines = (await readFile(scene.own.tunnel.file("identity-proxy.log"), "utf8")).trim().split("\n");
        const events = lines.map((line) => JSON.parse(line));
        return events.find(({ msg, sentBytes }) => msg === "connection ended" && sentBytes === 12_345);
      },
      { what: "the record of the connection" },
    );
    expect(ended).toMatchObject({ user: alice.email, path, receivedBytes: 12_345, end: "complete" });
  });

  it("leaves nothing behind", async () => {
    const metrics = async (): Promise<string> =>
      (await fetch(`${scene.own.tunnel.privateUrls["identity proxy"]}/metrics`)).text();
    await eventually(async () => /^fairlead_service_sockets 0$/m.test(await metrics()), { what: "no connection" });
  });

  it.each(["agent", "identity proxy", "relay"] as const)(
    "resets connections when the %s dies, says where, and connects again once it is back",
    async (name) => {
      const { port, program } = await scene.forwarding(["svc/web.shop", ":9000"]);
      const socket = await dial(port);
      socket.write("under way");
      await once(socket, "readable");
      const end = endOf(socket);
      await scene.own.tunnel.processes[name].end("SIGKILL");
      expect(await end).toBe("ECONNRESET");
      await program.waitForOutput(/^error: svc\/web:9000: fairlead: (relay|agent|identity proxy): .*(lost|closed)/m);
      await scene.own.tunnel.startProcess(name);
      const again = () => echoed(port, Buffer.from("again")).then(String, () => "");
      await eventually(async () => (await again()) === "again", { what: "a connection" });
    },
  );
});
