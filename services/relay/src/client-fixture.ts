import { create } from "@bufbuild/protobuf";
import {
  AccessService,
  DataSchema,
  decodeResponse,
  EndSchema,
  FairleadError,
  GrpcClientStream,
  type GrpcConnection,
  Hop,
  Lane,
  methodPath,
  newExchangeId,
  type RequestHead,
  RequestHeadSchema,
  type ResponseFrame,
  WholeRequestSchema,
} from "@fairlead/protocol";
import { Mailbox } from "./mailbox-fixture.ts";

/** A client's end of one lane to the relay. */
export class ClientFixture {
  readonly lane: Lane;
  readonly responses = new Mailbox<ResponseFrame["frame"]>();
  readonly closes = new Mailbox<FairleadError | undefined>();
  readonly #opened = Promise.withResolvers<void>();

  constructor(client: GrpcConnection) {
    const stream = new GrpcClientStream(client, methodPath(AccessService.method.exchange), { peerHop: Hop.RELAY });
    this.lane = new Lane(stream, "requester", Hop.RELAY);
    this.#opened.promise.catch(() => {});
    this.lane.start({
      frame: (_field, message) => {
        const frame = decodeResponse(message);
        if (frame.case === "ready") this.#opened.resolve();
        else this.responses.put(frame);
      },
      drained: () => {},
      idle: () => {},
      closed: (error) => {
        this.#opened.reject(error);
        this.closes.put(error);
      },
    });
  }

  get opened(): Promise<void> {
    return this.#opened.promise;
  }

  /** Sends a whole request. */
  request(head: RequestHead, body = ""): void {
    this.lane.sendRequest({ case: "whole", value: create(WholeRequestSchema, { head, body: Buffer.from(body) }) });
  }

  /** Sends a request and its answer's body is returned. */
  async exchange(head: RequestHead, body = ""): Promise<string> {
    this.request(head, body);
    const frame = await this.responses.take();
    if (frame.case !== "whole") throw new Error(`a ${frame.case} came: ${JSON.stringify(frame.value)}`);
    return Buffer.from(frame.value.body).toString();
  }

  begin(head: RequestHead): void {
    this.lane.sendRequest({ case: "head", value: head });
  }

  data(offset: number, text: string): void {
    const value = create(DataSchema, { offset: BigInt(offset), data: Buffer.from(text) });
    this.lane.sendRequest({ case: "data", value });
  }

  end(offset: number): void {
    this.lane.sendRequest({ case: "end", value: create(EndSchema, { offset: BigInt(offset) }) });
  }

  /** The error frame that comes next. */
  async fault(): Promise<FairleadError> {
    const frame = await this.responses.take();
    if (frame.case !== "error") throw new Error(`a ${frame.case} came`);
    return FairleadError.fromMessage(frame.value);
  }
}

/** The head of a request to a cluster, with a bearer token. */
export function headFor(cluster: string, token: string | undefined, changes: Partial<RequestHead> = {}): RequestHead {
  const headers = token === undefined ? [] : [{ name: "Authorization", value: Buffer.from(`Bearer ${token}`) }];
  const own = { exchangeId: newExchangeId(), cluster, method: "GET", target: "/api/v1/namespaces", headers };
  return Object.assign(create(RequestHeadSchema, own), changes);
}
