import { describe, expect, it } from "@jest/globals";
import { applyPatch } from "./patching.ts";

const json = "application/json-patch+json";
const merge = "application/merge-patch+json";
const strategic = "application/strategic-merge-patch+json";

describe("a patch", () => {
  it.each([
    ["adds to a map", json, { a: {} }, [{ op: "add", path: "/a/x", value: 1 }], { a: { x: 1 } }],
    ["appends to a list", json, { a: [1] }, [{ op: "add", path: "/a/-", value: 2 }], { a: [1, 2] }],
    ["inserts into a list", json, { a: [1, 3] }, [{ op: "add", path: "/a/1", value: 2 }], { a: [1, 2, 3] }],
    ["removes from a list", json, { a: [1, 2] }, [{ op: "remove", path: "/a/0" }], { a: [2] }],
    ["unescapes a pointer", json, { "a/b~c": 1 }, [{ op: "replace", path: "/a~1b~0c", value: 2 }], { "a/b~c": 2 }],
    ["moves", json, { a: 1 }, [{ op: "move", from: "/a", path: "/b" }], { b: 1 }],
    ["copies", json, { a: [1] }, [{ op: "copy", from: "/a", path: "/b" }], { a: [1], b: [1] }],
    ["passes a test", json, { a: { b: 1 } }, [{ op: "test", path: "/a", value: { b: 1 } }], { a: { b: 1 } }],
    ["removes a null field", merge, { a: 1, b: { c: 1, d: 1 } }, { a: null, b: { c: null } }, { b: { d: 1 } }],
    ["replaces a list", merge, { a: [{ name: "x" }] }, { a: [{ name: "y" }] }, { a: [{ name: "y" }] }],
    [
      "merges a list by its key",
      strategic,
      { containers: [{ name: "x", image: "1" }, { name: "y" }] },
      { containers: [{ name: "x", image: "2" }, { name: "z" }] },
      { containers: [{ name: "x", image: "2" }, { name: "y" }, { name: "z" }] },
    ],
    [
      "deletes from a list by its key",
      strategic,
      { containers: [{ name: "x" }, { name: "y" }] },
      { $setElementOrder: null, containers: [{ name: "x", $patch: "delete" }] },
      { containers: [{ name: "y" }] },
    ],
    ["replaces a map", strategic, { data: { a: "1" } }, { data: { $patch: "replace", b: "2" } }, { data: { b: "2" } }],
    [
      "deletes primitives",
      strategic,
      { finalizers: ["a", "b"] },
      { "$deleteFromPrimitiveList/finalizers": ["a"] },
      { finalizers: ["b"] },
    ],
  ])("%s (%s)", (_what, mediaType, target, patch, result) => {
    expect(applyPatch(mediaType, target, patch)).toEqual(result);
  });

  it.each([
    ["a failed test", [{ op: "test", path: "/a", value: 2 }]],
    ["the removal of what is not there", [{ op: "remove", path: "/b" }]],
    ["a list index out of bounds", [{ op: "add", path: "/list/9", value: 1 }]],
    ["a path into the prototype", [{ op: "add", path: "/__proto__/polluted", value: 1 }]],
  ])("refuses %s", (_what, patch) => {
    expect(() => applyPatch(json, { a: 1, list: [] }, patch)).toThrow("rejected our request");
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
  });

  it("leaves its target as it was", () => {
    const target = { a: { b: [1] } };
    applyPatch(json, target, [{ op: "add", path: "/a/b/-", value: 2 }]);
    applyPatch(strategic, target, { a: { c: 1 } });
    expect(target).toEqual({ a: { b: [1] } });
  });
});
