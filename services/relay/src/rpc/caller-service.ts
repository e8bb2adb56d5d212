import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { CallerService } from "@fairlead/protocol";
import type { Admission } from "../access/admission.ts";
import { callerOf } from "./cluster-service.ts";

/** `CallerService`: for everybody with a token that counts, who they are. */
export function callerService(admission: Admission): ServiceImpl<typeof CallerService> {
  return {
    getCaller: (_request, context) => {
      const caller = callerOf(context);
      const { user, groups, expiresAtMs } = caller;
      const administrator = admission.isAdministrator(caller);
      return { user, groups, expireTime: timestampFromMs(expiresAtMs), administrator };
    },
  };
}
