import {
  AccessService,
  decodeResponse,
  type ErrorMessage,
  FairleadError,
  GrpcClientStream,
  type GrpcConnection,
  type Header,
  Hop,
  Lane,
  methodPath,
  newExchangeId,
  type RequestHead,
  type ResponseHead,
} from "@fairlead/protocol";

/** What came back on a lane. */
export interface Answer {
  status: number | undefined;
  headers: [name: string, value: string][];
  body: string;
  error: ErrorMessage | undefined;
}

/** The agent's end of one lane to the identity proxy. */
export class Requester {
  readonly lane: Lane;
  readonly #opened = Promise.withResolvers<void>();
  #answer: Answer = fresh();
  #answered = Promise.withResolvers<Answer>();
  #headed = Promise.withResolvers<number>();

  constructor(client: GrpcConnection) {
    const path = methodPath(AccessService.method.exchange);
    this.lane = new Lane(
      new GrpcClientStream(client, path, { peerHop: Hop.IDENTITY_PROXY }),
      "requester",
      Hop.IDENTITY_PROXY,
    );
    this.#opened.promise.catch(() => {});
    this.#answered.promise.catch(() => {});
    this.lane.start({
      frame: (_field, message) => this.#onFrame(message),
      drained: () => {},
      idle: () => this.#answered.resolve(this.#answer),
      closed: (error) => {
        const reason = error ?? new Error("the lane ended");
        this.#opened.reject(reason);
        if (this.#answer.error) this.#answered.resolve(this.#answer);
        else this.#answered.reject(reason);
      },
    });
  }

  /** Resolves when the lane is ready, rejects if it is refused. */
  get opened(): Promise<void> {
    return this.#opened.promise;
  }

  /** Sends a whole request and waits for its answer. */
  exchange(head: Partial<RequestHead>, body = ""): Promise<Answer> {
    const $typeName = "fairlead.tunnel.v1alpha1.WholeRequest" as const;
    const value = { $typeName, head: requestHead(head), body: Buffer.from(body), trailers: [] };
    this.lane.sendRequest({ case: "whole", value });
    return this.answer();
  }

  /** Begins a request whose body follows, or an upgrade. */
  begin(head: Partial<RequestHead>): void {
    this.lane.sendRequest({ case: "head", value: requestHead(head) });
  }

  /** Ends the body of the request that was begun. */
  end(data = ""): void {
    const $typeName = "fairlead.tunnel.v1alpha1.End";
    this.lane.sendRequest({ case: "end", value: { $typeName, offset: 0n, data: Buffer.from(data), trailers: [] } });
  }

  /** The status of the answer's head, when it has come. */
  get headed(): Promise<number> {
    return this.#headed.promise;
  }

  /** The answer of the exchange under way. */
  async answer(): Promise<Answer> {
    const answer = await this.#answered.promise;
    this.#answer = fresh();
    this.#headed = Promise.withResolvers();
    this.#answered = Promise.withResolvers();
    this.#answered.promise.catch(() => {});
    return answer;
  }

  #onFrame(message: Uint8Array): void {
    const frame = decodeResponse(message);
    if (frame.case === "ready") this.#opened.resolve();
    else if (frame.case === "error") this.#answer.error = frame.value;
    else if (frame.case === "head") this.#onHead(frame.value);
    else if (frame.case === "data" || frame.case === "end")
      this.#answer.body += Buffer.from(frame.value.data).toString();
    else if (frame.case === "whole") {
      if (frame.value.head) this.#onHead(frame.value.head);
      this.#answer.body = Buffer.from(frame.value.body).toString();
    }
  }

  #onHead({ status, headers }: ResponseHead): void {
    this.#headed.resolve(status);
    this.#answer.status = status;
    this.#answer.headers = headers.map(({ name, value }) => [name, Buffer.from(value).toString()]);
  }
}

/** A GET of the namespaces, with changes. */
export function requestHead(changes: Partial<RequestHead>): RequestHead {
  return {
    $typeName: "fairlead.tunnel.v1alpha1.RequestHead",
    exchangeId: newExchangeId(),
    cluster: "prod",
    method: "GET",
    target: "/api/v1/namespaces",
    headers: [],
    upgrade: "",
    wantsTimings: false,
    client: "",
    ...changes,
  };
}

/** Header lines as frames carry them, from text in UTF-8. */
export function headerLines(...lines: [name: string, value: string][]): Header[] {
  return lines.map(([name, value]) => ({
    $typeName: "fairlead.tunnel.v1alpha1.Header",
    name,
    value: Buffer.from(value),
  }));
}

/** The fault that an answer is. */
export function faultOf(answer: Answer): FairleadError {
  if (answer.error === undefined) throw new Error(`no fault, but ${answer.status}: ${answer.body}`);
  return FairleadError.fromMessage(answer.error);
}

function fresh(): Answer {
  return { status: undefined, headers: [], body: "", error: undefined };
}
