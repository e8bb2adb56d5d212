import { describe, expect, it } from "@jest/globals";
import { ListedServices } from "./listed-services.ts";

const web = { namespace: "shop", name: "web", port: 80 };

describe("an owner's list of Services", () => {
  it("has none by default", () => {
    expect(new ListedServices().count).toBe(0);
    expect(new ListedServices().has(web)).toBe(false);
  });

  it("has those that it names, each once", () => {
    const listed = new ListedServices(["shop/web:80", "shop/web:443", "db/postgres:5432", "shop/web:80"]);
    expect(listed.count).toBe(3);
    expect(listed.has(web)).toBe(true);
    expect(listed.has({ ...web, port: 443 })).toBe(true);
    expect(listed.has({ namespace: "db", name: "postgres", port: 5432 })).toBe(true);
  });

  it.each([
    ["another port", { ...web, port: 8080 }],
    ["a port that begins alike", { ...web, port: 8 }],
    ["another name", { ...web, name: "web2" }],
    ["a name that begins alike", { ...web, name: "we" }],
    ["another namespace", { ...web, namespace: "shop2" }],
    ["name and namespace exchanged", { namespace: "web", name: "shop", port: 80 }],
  ])("has not %s", (_what, port) => {
    expect(new ListedServices(["shop/web:80"]).has(port)).toBe(false);
  });

  it.each([
    "",
    "shop/web",
    "web:80",
    "shop/*:80",
    "*/*:*",
    "shop/web:http",
    "shop/web:80,443",
    "shop/web:0",
    "shop/web:70000",
    "shop/10.0.0.1:80",
    "https://shop/web:80",
    "shop/web.svc.cluster.local:80",
  ])("is not read from %j, and what it names is shown", (text) => {
    expect(() => new ListedServices(["shop/web:80", text])).toThrow(
      `--service ${JSON.stringify(text)}: write NAMESPACE/NAME:PORT, such as shop/web:80`,
    );
  });
});
