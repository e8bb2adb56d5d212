import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CertificateAuthority } from "@fairlead/certificates";
import { ErrorCode, Hop } from "@fairlead/protocol";
import { afterEach, beforeAll, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { Apiserver } from "./apiserver.ts";
import { ApiserverFixture, type KeyPair, valuesOf } from "./apiserver-fixture.ts";

let authority: CertificateAuthority;
let tls: KeyPair;
let fixture: ApiserverFixture;
const made: Apiserver[] = [];

beforeAll(async () => {
  authority = await CertificateAuthority.create("test cluster", 1);
  tls = await authority.issue({ commonName: "kube-apiserver", hosts: ["127.0.0.1"], days: 1 });
});

beforeEach(async () => {
  fixture = await ApiserverFixture.start(tls, authority.pem);
});

afterEach(async () => {
  jest.restoreAllMocks();
  for (const apiserver of made.splice(0)) {
    const last = await apiserver.connection().catch(() => undefined);
    last?.pool.retire();
  }
  await fixture.close();
});

function apiserver(kubeconfig: string, context?: string): Apiserver {
  const own = new Apiserver({ kubeconfig, context });
  made.push(own);
  return own;
}

/** Lets the clock jump. */
function setClock(aheadMs: number): void {
  const now = Date.now() + aheadMs;
  jest.spyOn(Date, "now").mockReturnValue(now);
}

/** Makes a request as the identity proxy would, by the pool. */
async function get(own: Apiserver): Promise<number> {
  const { pool, host, token } = await own.connection();
  const credential = token === undefined ? "" : `Authorization: Bearer ${token}\r\n`;
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let status = 0;
  pool.take().ask("GET", `GET / HTTP/1.1\r\nHost: ${host}\r\n${credential}\r\n`, new Uint8Array(), false, {
    informational: () => {},
    head: (head) => {
      status = head.status;
    },
    data: () => {},
    end: () => setImmediate(() => resolve(status)), // when the connection is back in the pool
    drained: () => {},
    failed: reject,
  });
  return promise;
}

describe("the way to the apiserver", () => {
  it("is the kubeconfig's current context", async () => {
    const connection = await apiserver(await fixture.kubeconfig({ token: "own" })).connection();
    const { port } = new URL(fixture.url);
    expect(connection).toMatchObject({
      host: `127.0.0.1:${port}`,
      address: { host: "127.0.0.1", port: Number(port) },
      token: "own",
    });
    expect(String(connection.address.tls.ca)).toBe(authority.pem);
  });

  it("is another context where one is named", async () => {
    const connection = await apiserver(await fixture.kubeconfig({ token: "own" }), "elsewhere").connection();
    expect(connection.address).toMatchObject({ host: "elsewhere.example", port: 6443 });
  });

  it.each<[server: string, host: string, port: number]>([
    ["https://k.example", "k.example", 443],
    ["https://k.example:6443/", "k.example", 6443],
    ["https://[::1]:6443", "::1", 6443],
  ])("%s is dialled as it says", async (server, host, port) => {
    const connection = await apiserver(await fixture.kubeconfig({ token: "own" }, { server })).connection();
    expect(connection).toMatchObject({ address: { host, port }, host: new URL(server).host });
  });

  it("verifies the apiserver by the kubeconfig's authority", async () => {
    expect(await get(apiserver(await fixture.kubeconfig({ token: "own" })))).toBe(200);
    const stranger = await CertificateAuthority.create("test cluster", 1);
    const data = { "certificate-authority-data": Buffer.from(stranger.pem).toString("base64") };
    await expect(get(apiserver(await fixture.kubeconfig({ token: "own" }, data)))).rejects.toThrow(/certificate/);
    expect(fixture.seen).toHaveLength(1);
  });

  it("uses another name for the certificate where the kubeconfig says one", async () => {
    const path = await fixture.kubeconfig({ token: "own" }, { "tls-server-name": "kubernetes.default" });
    const connection = await apiserver(path).connection();
    expect(connection.address.tls.servername).toBe("kubernetes.default");
  });
});

describe("the identity proxy's own credential", () => {
  it.each([
    ["as it is", "own"],
    ["without the line feed behind it", "own\n"],
    ["without blanks around it", " own \r\n"],
  ])("is a token, %s", async (_what, token) => {
    expect((await apiserver(await fixture.kubeconfig({ token })).connection()).token).toBe("own");
  });

  it("is a token in a file, without the line feed behind it", async () => {
    await writeFile(join(fixture.folder, "token"), "own\n");
    const own = apiserver(await fixture.kubeconfig({ tokenFile: "token", token: "not this one" }));
    expect((await own.connection()).token).toBe("own");
    expect(await get(own)).toBe(200);
    expect(valuesOf(fixture.seen[0], "authorization")).toEqual(["Bearer own"]);
  });

  it("is a client certificate", async () => {
    const { cert, key } = await authority.issue({ commonName: "impersonator", days: 1 });
    const user = {
      "client-certificate-data": Buffer.from(cert).toString("base64"),
      "client-key-data": Buffer.from(key).toString("base64"),
    };
    const own = apiserver(await fixture.kubeconfig(user));
    expect((await own.connection()).token).toBeUndefined();
    expect(await get(own)).toBe(200);
    expect(fixture.seen[0]?.certificate).toBe("impersonator");
    expect(valuesOf(fixture.seen[0], "authorization")).toEqual([]);
  });

  it("is used for 30 s and then read again", async () => {
    const own = apiserver(await fixture.kubeconfig({ token: "first" }));
    expect((await own.connection()).token).toBe("first");
    await fixture.kubeconfig({ token: "second" });
    setClock(29_000);
    expect((await own.connection()).token).toBe("first");
    setClock(2_000);
    expect((await own.connection()).token).toBe("second");
  });

  it("is read again from a token file that rotated", async () => {
    const tokenFile = join(fixture.folder, "token");
    await writeFile(tokenFile, "first");
    const own = apiserver(await fixture.kubeconfig({ tokenFile }));
    expect((await own.connection()).token).toBe("first");
    await writeFile(tokenFile, "second");
    setClock(31_000);
    expect((await own.connection()).token).toBe("second");
  });

  it("is read again at once when the apiserver has refused it", async () => {
    const own = apiserver(await fixture.kubeconfig({ token: "first" }));
    await own.connection();
    await fixture.kubeconfig({ token: "second" });
    expect(own.judge(401)).toBeDefined();
    expect((await own.connection()).token).toBe("second");
  });

  it("that was refused is the proxy's fault, and the caller is not told to sign in", async () => {
    const own = apiserver(await fixture.kubeconfig({ token: "first" }));
    const fault = own.judge(401);
    expect(fault).toMatchObject({ code: ErrorCode.OWN_CREDENTIAL_REFUSED, hop: Hop.IDENTITY_PROXY });
    expect(fault?.message).toMatch(/not yours; check its service account/);
  });

  it.each([200, 101, 304, 400, 403, 404, 407, 409, 429, 500, 503])("is not at fault with %i", async (status) => {
    expect(apiserver(await fixture.kubeconfig({ token: "own" })).judge(status)).toBeUndefined();
  });

  it("that cannot be read is told as the proxy's fault, and works again when it can", async () => {
    const own = apiserver(await fixture.kubeconfig({ token: "first" }));
    await rm(join(fixture.folder, "kubeconfig"));
    await expect(own.connection()).rejects.toMatchObject({
      code: ErrorCode.OWN_CREDENTIAL_REFUSED,
      hop: Hop.IDENTITY_PROXY,
      message: expect.stringMatching(/cannot read its own credential/),
    });
    await fixture.kubeconfig({ token: "second" });
    expect((await own.connection()).token).toBe("second");
  });
});

describe("the pool of connections", () => {
  it("is kept when the token rotates", async () => {
    const own = apiserver(await fixture.kubeconfig({ token: "first" }));
    const { pool } = await own.connection();
    await fixture.kubeconfig({ token: "second" });
    own.judge(401);
    expect((await own.connection()).pool).toBe(pool);
  });

  it("is another when the authority changes: connections under the old one are not used again", async () => {
    const own = apiserver(await fixture.kubeconfig({ token: "own" }));
    const { pool } = await own.connection();
    const stranger = await CertificateAuthority.create("new", 1);
    await fixture.kubeconfig(
      { token: "own" },
      { "certificate-authority-data": Buffer.from(stranger.pem).toString("base64") },
    );
    own.judge(401);
    expect((await own.connection()).pool).not.toBe(pool);
  });

  it("says how many it has", async () => {
    const own = apiserver(await fixture.kubeconfig({ token: "own" }));
    expect(own.sockets).toBe(0);
    await get(own);
    await get(own);
    expect(own.sockets).toBe(1);
  });
});

describe("a kubeconfig that is refused when the identity proxy starts", () => {
  it("skips the apiserver's verification", async () => {
    const path = await fixture.kubeconfig({ token: "own" }, { "insecure-skip-tls-verify": true });
    expect(() => apiserver(path)).toThrow(/skips the apiserver's verification; give its certificate-authority/);
  });

  it("skips it in the context that is named", async () => {
    const path = await fixture.kubeconfig({ token: "own" }, { "insecure-skip-tls-verify": true });
    expect(() => apiserver(path, "elsewhere")).not.toThrow();
    expect(() => apiserver(path, "own")).toThrow(/skips/);
  });

  it("begins to skip it later", async () => {
    const own = apiserver(await fixture.kubeconfig({ token: "own" }));
    await fixture.kubeconfig({ token: "own" }, { "insecure-skip-tls-verify": true });
    await expect(own.connection()).rejects.toMatchObject({ code: ErrorCode.OWN_CREDENTIAL_REFUSED });
  });

  it.each([
    ["a path in the address", { server: "https://k.example/k8s/clusters/c-1" }, /has a path/],
    [
      "an address that is none",
      { server: "k.example:6443" },
      /no https:\/\/ address of an apiserver; give --kubeconfig/,
    ],
    ["an address of another protocol", { server: "ftp://k.example" }, /no https:\/\/ address/],
    [
      "an http address, where the credential would go in the clear",
      { server: "http://127.0.0.1:1" },
      /no https:\/\/ address/,
    ],
  ])("has %s", async (_what, cluster, says) => {
    const path = await fixture.kubeconfig({ token: "own" }, cluster);
    expect(() => apiserver(path)).toThrow(says);
  });

  it("is not there", () => {
    expect(() => apiserver(join(fixture.folder, "missing"))).toThrow(/ENOENT/);
  });

  it("has no such context", async () => {
    const path = await fixture.kubeconfig({ token: "own" });
    expect(() => apiserver(path, "other")).toThrow(/no current cluster/);
  });

  it("is none at all, outside a pod", () => {
    const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
    delete process.env.KUBERNETES_SERVICE_HOST;
    delete process.env.KUBERNETES_SERVICE_PORT;
    try {
      expect(() => new Apiserver({ kubeconfig: undefined, context: undefined })).toThrow(/give --kubeconfig/);
    } finally {
      if (host !== undefined) process.env.KUBERNETES_SERVICE_HOST = host;
      if (port !== undefined) process.env.KUBERNETES_SERVICE_PORT = port;
    }
  });
});
