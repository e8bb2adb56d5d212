import { bundlePrograms } from "./bundle-programs.ts";

await bundlePrograms();
