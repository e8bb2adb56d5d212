import { once } from "node:events";
import { connect } from "node:net";
import { type Client, type ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ClientProxyService, ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { readErrors } from "@fairlead/protocol/rpc-errors";

/** How long a client proxy may take to answer, in milliseconds. */
const ANSWER_MS = 10_000;

/** Talks to the client proxy behind a socket. @returns undefined if none runs there */
export async function runningProxy(path: string): Promise<Client<typeof ClientProxyService> | undefined> {
  const socket = connect(path);
  try {
    await once(socket, "connect");
  } catch (error) {
    if (["ENOENT", "ECONNREFUSED"].includes(Object(error).code)) return undefined;
    throw error;
  } finally {
    socket.destroy();
  }
  const transport = createGrpcTransport({
    baseUrl: "http://client-proxy.localhost",
    defaultTimeoutMs: ANSWER_MS,
    idleConnectionTimeoutMs: 0,
    interceptors: [readErrors(unanswered)],
    nodeOptions: { createConnection: () => connect(path) },
  });
  return createClient(ClientProxyService, transport);
}

function unanswered({ rawMessage }: ConnectError): FairleadError {
  const sentence = `your proxy that runs does not answer (${rawMessage}); end it with \`fairlead proxy --stop\``;
  return new FairleadError(ErrorCode.UNREACHABLE, Hop.CLIENT_PROXY, sentence);
}
