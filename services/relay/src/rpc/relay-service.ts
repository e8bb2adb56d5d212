import { timestampNow } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { RelayService } from "@fairlead/protocol";
import type { LoginConfig, OldestVersions } from "../config.ts";
import { VERSION } from "../version.ts";

/** `RelayService`: what anybody may know of this relay. */
export function relayService(
  { client, agent }: OldestVersions,
  login: LoginConfig | undefined,
): ServiceImpl<typeof RelayService> {
  return {
    getRelay: () => ({
      version: VERSION,
      oldestClientVersion: client,
      oldestAgentVersion: agent,
      time: timestampNow(),
      ...(login && { login }),
    }),
  };
}
