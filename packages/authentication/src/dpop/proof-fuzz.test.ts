import { createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { fc, fuzz, mutatedText } from "@fairlead/fuzzing";
import { describe, expect, it } from "@jest/globals";
import { base64url, objectText } from "../json-text-fixture.ts";
import { forgedProof, proofKeyPair, REQUEST } from "./proof-fixture.ts";
import { ProofKey } from "./proof-key.ts";
import { ProofVerifier } from "./proof-verifier.ts";
import { type ProvenRequest, proofClaims } from "./proven-request.ts";

const pair = proofKeyPair();
const key = await ProofKey.fromPem(pair.pem);
const stranger = generateKeyPairSync("ec", { namedCurve: "P-256" });
const ownJwk = JSON.stringify(pair.publicKey.export({ format: "jwk" }));
const strangersJwk = JSON.stringify(stranger.publicKey.export({ format: "jwk" }));

/** Whether a proof is taken. @throws whatever it ends with that is no sentence for the caller */
async function isTaken(proof: string, request = REQUEST, verifier = new ProofVerifier()): Promise<boolean> {
  try {
    await verifier.verify([proof], request, key.thumbprint);
    return true;
  } catch (error) {
    if (error instanceof Error && error.constructor === Error && /^its DPoP proof(?:'s)? /.test(error.message))
      return false;
    throw error;
  }
}

const es256 = (input: string, signer: KeyObject): string =>
  sign("sha256", Buffer.from(input), { key: signer, dsaEncoding: "ieee-p1363" }).toString("base64url");

describe("a proof", () => {
  it("counts once, whatever is changed in its letters", async () => {
    const pieces = [".", "..", "=", "A", "-", "+", " ", "\n", "e30", "e30.", "A".repeat(9_000)];
    // It is made within the round: one made before would be too old by the end of a long search.
    const property = fc.asyncProperty(fc.gen(), async (draw) => {
      const proof = await key.prove(REQUEST);
      const verifier = new ProofVerifier();
      expect(await isTaken(proof, REQUEST, verifier)).toBe(true);
      const changed = draw((text: string) => mutatedText(fc.constant(text), pieces), proof);
      expect(await isTaken(changed, REQUEST, verifier)).toBe(false);
    });
    await fuzz(300, property);
  });

  it("is of the one request that it was made for: cluster, method, target, scope and token", async () => {
    const requests: fc.Arbitrary<ProvenRequest> = fc.record({
      cluster: fc.constantFrom("a", "a/b", "a?b", ""),
      method: fc.constantFrom("GET", "get", "POST"),
      target: fc.constantFrom("/c", "/b/c", "/c?", "/c?d", "/c?d=e", "//c", "/%63"),
      token: fc.constantFrom("t", "t.", "T"),
      scope: fc.option(
        fc.record({
          $typeName: fc.constant("fairlead.tunnel.v1alpha1.Scope" as const),
          readOnly: fc.boolean(),
          groups: fc.option(
            fc.record({
              $typeName: fc.constant("fairlead.tunnel.v1alpha1.GroupLimit" as const),
              names: fc.array(fc.constantFrom("dev", "ops", "", "null", 'dev","ops'), { maxLength: 2 }),
            }),
            { nil: undefined },
          ),
        }),
        { nil: undefined },
      ) as fc.Arbitrary<ProvenRequest["scope"]>,
    });
    const seen = { same: 0, other: 0 };
    const parts = fc.subarray(["cluster", "method", "target", "token", "scope"] as const, { maxLength: 2 });
    const property = fc.asyncProperty(requests, requests, parts, async (made, other, changes) => {
      const asked = { ...made, ...Object.fromEntries(changes.map((part) => [part, other[part]])) } as ProvenRequest;
      const isSame = meaningOf(made) === meaningOf(asked);
      expect(await isTaken(await key.prove(made), asked)).toBe(isSame);
      if (isSame) seen.same++;
      else seen.other++;
    });
    await fuzz(500, property);
    expect(Math.min(seen.same, seen.other)).toBeGreaterThan(50);
  });

  it("that the key did not sign is refused, whatever its header says of how to verify it", async () => {
    const others = {
      alg: ['"none"', '"HS256"', '"ES384"', '"RS256"', '"EdDSA"', '["ES256"]'],
      typ: ['"JWT"', '"DPOP+JWT"'],
      jwk: [
        ownJwk,
        strangersJwk,
        '{"kty":"oct","k":"AA"}',
        "{}",
        '{"kty":"EC"}',
        '{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}',
      ],
      kid: ['"a"'],
      crit: ['["b64"]', "[]"],
      b64: ["false"],
    };
    const headers = objectText({ typ: '"dpop+jwt"', alg: '"ES256"', jwk: ownJwk }, others);
    const good = await forgedProof(pair, { claims: { jti: "another" } });
    const signatures = fc.constantFrom("", good.split(".")[2] ?? "", "stranger", "public", "AA");
    const property = fc.asyncProperty(headers, signatures, claimTexts(), async (header, how, claims) => {
      const input = `${base64url(header)}.${base64url(claims)}`;
      const signature =
        how === "stranger"
          ? es256(input, stranger.privateKey)
          : how === "public"
            ? createHmac("sha256", ownJwk).update(input).digest("base64url")
            : how;
      expect(await isTaken(`${input}.${signature}`)).toBe(false);
    });
    await fuzz(500, property);
  });

  it("that the key signed is taken exactly if each claim is the one that is due", async () => {
    const seen = { taken: 0, refused: 0 };
    const property = fc.asyncProperty(fc.gen(), async (draw) => {
      const text = draw(claimTexts);
      const input = `${base64url(`{"typ":"dpop+jwt","alg":"ES256","jwk":${ownJwk}}`)}.${base64url(text)}`;
      const taken = await isTaken(`${input}.${es256(input, pair.privateKey)}`);
      if (!taken) {
        seen.refused++;
        return;
      }
      const claims = JSON.parse(text);
      expect(claims).toMatchObject(proofClaims(REQUEST));
      expect(Math.abs(Date.now() / 1_000 - claims.iat)).toBeLessThan(62);
      expect(claims.jti).toMatch(/^.{1,128}$/s);
      seen.taken++;
    });
    await fuzz(500, property);
    expect(Math.min(seen.taken, seen.refused)).toBeGreaterThan(50);
  });
});

/** What a request is, for a proof: a scope that keeps from nothing is none. */
function meaningOf({ cluster, method, target, token, scope }: ProvenRequest): string {
  return JSON.stringify([cluster, method, target, token, scope?.readOnly ?? false, scope?.groups?.names]);
}

/** The text of claims, most of which are those of a proof for the request. */
function claimTexts(): fc.Arbitrary<string> {
  const now = Math.floor(Date.now() / 1_000);
  const due = Object.entries(proofClaims(REQUEST)).map(([name, value]) => [name, JSON.stringify(value)]);
  return objectText(
    { ...Object.fromEntries(due), jti: '"a"', iat: `${now}` },
    {
      htm: ['"get"', '["GET"]', '"POST"'],
      htu: ['"https://evil.example/"'],
      ath: ['"a"'],
      iat: [`${now - 100}`, `${now + 100}`, `"${now}"`],
      jti: ['""', '"b"', "7"],
      exp: [`${now - 100}`],
      nbf: [`${now + 100}`],
    },
  );
}
