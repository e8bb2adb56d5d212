import type { RequestFrame, RequestHead, ResponseFrame } from "@fairlead/protocol";

/** A frame of the direction from client to cluster. */
export type Request = RequestFrame["frame"];
/** A frame of the direction from cluster to client. */
export type Response = ResponseFrame["frame"];
/** The frame that opens an exchange, with its head. */
export type Opening = Extract<Request, { case: "head" | "whole" }>;

/** What a hostile relay does to an exchange. What is left out it does as an honest one would. */
export interface Attempt {
  /** What goes on in the place of a frame of the request. */
  request?(frame: Request): readonly Request[];
  /** What goes on in the place of a frame of the answer; `cut` ends the client's lane at once. */
  response?(frame: Response): readonly Response[] | "cut";
  /** The answer, of which no cluster ever hears. */
  answer?(head: RequestHead): readonly Response[];
}

/** The head of the frame that opens an exchange. */
export function headOf(frame: Opening): RequestHead {
  const { head } = frame.case === "whole" ? frame.value : { head: frame.value };
  if (head === undefined) throw new Error("a request without a head");
  return head;
}

export function isOpening(frame: Request): frame is Opening {
  return frame.case === "head" || frame.case === "whole";
}

/** A copy of a request, with what `change` changes in its head. */
export function changed(frame: Opening, change: Partial<RequestHead>): Opening {
  const head = { ...headOf(frame), ...change };
  return frame.case === "whole" ? { ...frame, value: { ...frame.value, head } } : { ...frame, value: head };
}

/** A copy of a request with another set of headers. @param headers by name and value, put behind those that are kept */
export function withHeaders(
  frame: Opening,
  headers: readonly (readonly [string, string])[],
  keeps: (name: string) => boolean = () => true,
): Opening {
  const added = headers.map(([name, value]) => ({
    $typeName: "fairlead.tunnel.v1alpha1.Header" as const,
    name,
    value: Buffer.from(value),
  }));
  const kept = headOf(frame).headers.filter(({ name }) => keeps(name.toLowerCase()));
  return changed(frame, { headers: [...kept, ...added] });
}

/** Does something to the head of each request, and to nothing else. */
export function onOpening(change: (frame: Opening) => Opening): Attempt {
  return { request: (frame) => [isOpening(frame) ? change(frame) : frame] };
}

/** An answer that a relay makes up. */
export function wholeAnswer(exchangeId: Uint8Array, status: number, body: string): Response {
  const type = { $typeName: "fairlead.tunnel.v1alpha1.Header" as const, name: "Content-Type" };
  return {
    case: "whole",
    value: {
      $typeName: "fairlead.tunnel.v1alpha1.WholeResponse",
      head: {
        $typeName: "fairlead.tunnel.v1alpha1.ResponseHead",
        exchangeId,
        status,
        reason: "",
        headers: [{ ...type, value: Buffer.from("application/json") }],
        upgrade: "",
        timings: [],
      },
      body: Buffer.from(body),
      trailers: [],
    },
  };
}

/** The status of what a cluster answered; undefined if it answered with no head. */
export function statusOf(answer: readonly Response[]): number | undefined {
  const [first] = answer;
  if (first?.case === "whole") return first.value.head?.status;
  return first?.case === "head" ? first.value.status : undefined;
}
