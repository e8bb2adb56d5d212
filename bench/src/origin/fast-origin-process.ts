import { createServer, type TLSSocket } from "node:tls";
import { MessageReader } from "../load/message-reader.ts";

/*
 * An apiserver that costs next to nothing: it shows what the paths themselves cost. A process of its own, on raw TLS:
 * node's http module would cost more than all that it does.
 *
 *   GET /bulk?bytes=N       N bytes
 *   GET /received           how many bytes of bodies have come, and when that was so
 *   POST /upload            counts, and answers when all has come
 *   POST /trickle           the same, but reads 1 byte a second
 *   GET /flow               lets all that trickles flow
 *   POST .../selfsubject...reviews    what an identity proxy wants to hear of its own rights
 *   GET anything else       a ConfigMap of about 1 KiB
 */

const BULK_CHUNK = Buffer.alloc(256 * 1024, "x");
const SMALL_TEXT_BYTES = 850;

let receivedBytes = 0;
const trickling = new Map<TLSSocket, NodeJS.Timeout>();

function answer(status: string, body: object): Buffer {
  const json = JSON.stringify(body);
  const head = `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${json.length}\r\n\r\n`;
  return Buffer.from(head + json);
}

const smallAnswer = answer("200 OK", {
  kind: "ConfigMap",
  apiVersion: "v1",
  metadata: { name: "bench", namespace: "default" },
  data: { text: "x".repeat(SMALL_TEXT_BYTES) },
});
/** What the identity proxy asks for at its start: that its account may impersonate, and nothing else. */
const impersonator = answer("201 Created", {
  kind: "SelfSubjectRulesReview",
  apiVersion: "authorization.k8s.io/v1",
  status: {
    resourceRules: [{ verbs: ["impersonate"], apiGroups: [""], resources: ["users", "groups"] }],
    nonResourceRules: [],
    incomplete: false,
  },
});

function serve(socket: TLSSocket): void {
  let head = "";
  socket.setNoDelay(true);
  const reader = new MessageReader("request", {
    onHead: (text) => {
      head = text;
      if (text.startsWith("POST /trickle")) trickle(socket);
    },
    onBody: (bytes) => {
      receivedBytes += bytes;
    },
    onEnd: () => respond(socket, head),
  });
  socket.on("data", (bytes: Buffer) => reader.feed(bytes)).on("error", () => socket.destroy());
}

/** Reads from now on 1 byte a second, until it is let flow. */
function trickle(socket: TLSSocket): void {
  socket.pause();
  trickling.set(
    socket,
    setInterval(() => socket.read(1), 1_000), // it is told as "data" too
  );
}

function letAllFlow(): void {
  for (const [socket, timer] of trickling) {
    clearInterval(timer);
    socket.resume();
  }
  trickling.clear();
}

function respond(socket: TLSSocket, head: string): void {
  if (head.startsWith("GET /bulk")) {
    sendBulk(socket, Number(/bytes=(\d+)/.exec(head)?.[1] ?? 0));
  } else if (head.startsWith("GET /received")) {
    socket.write(answer("200 OK", { bytes: receivedBytes, atMs: performance.now() }));
  } else if (head.startsWith("GET /flow")) {
    letAllFlow();
    socket.write(smallAnswer);
  } else if (head.startsWith("POST /upload")) {
    socket.write(answer("200 OK", { bytes: receivedBytes }));
  } else if (head.startsWith("POST ") && head.includes("/selfsubject")) {
    socket.write(impersonator);
  } else {
    socket.write(smallAnswer);
  }
}

function sendBulk(socket: TLSSocket, bytes: number): void {
  socket.write(`HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: ${bytes}\r\n\r\n`);
  let left = bytes;
  const write = (): void => {
    while (left > 0 && !socket.destroyed) {
      const chunk = left >= BULK_CHUNK.length ? BULK_CHUNK : BULK_CHUNK.subarray(0, left);
      left -= chunk.length;
      if (!socket.write(chunk)) {
        socket.once("drain", write);
        return;
      }
    }
  };
  write();
}

process.once("message", ({ cert, key }: { cert: string; key: string }) => {
  const server = createServer({ cert, key, ALPNProtocols: ["http/1.1"] }, serve);
  server.listen(0, "127.0.0.1", () => process.send?.(server.address()));
});
process.on("disconnect", () => process.exit());
