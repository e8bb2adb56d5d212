import { describe, expect, it } from "@jest/globals";
import { parseProtobuf } from "./protobuf-body.ts";

describe("a protobuf body", () => {
  it("reads what kubectl 1.36 sends for auth whoami", () => {
    const captured =
      "6b3873000a2d0a1861757468656e7469636174696f6e2e6b38732e696f2f7631121153656c665375626a656374526576696577" +
      "121a0a100a0012001a0022002a0032003800420012060a040a0012001a002200";
    expect(parseProtobuf(Buffer.from(captured, "hex"))).toEqual({
      apiVersion: "authentication.k8s.io/v1",
      kind: "SelfSubjectReview",
      metadata: {},
    });
  });

  it.each(["", "6b387300ff", "6b3873000a7f00", "7b7d"])("refuses the damaged bytes %s", (hex) => {
    expect(() => parseProtobuf(Buffer.from(hex, "hex"))).toThrow();
  });
});
