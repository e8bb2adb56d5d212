/** Tests run from the sources: SWC strips the types, and the condition resolves workspace packages to their src. */
const shared = {
  extensionsToTreatAsEsm: [".ts"],
  transform: {
    "^.+\\.ts$": [
      "@swc/jest",
      {
        jsc: {
          parser: { syntax: "typescript", decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
          target: "es2024",
        },
      },
    ],
  },
  testEnvironmentOptions: { exportConditions: ["node", "node-addons", "@fairlead/source"] },
};

/** @type {import("jest").Config} */
export default {
  projects: [
    {
      ...shared,
      displayName: "unit",
      testMatch: ["<rootDir>/{packages,services,clients,demo}/**/src/**/*.test.ts", "<rootDir>/test/check/*.test.ts"],
    },
    {
      ...shared,
      displayName: "e2e",
      testMatch: ["<rootDir>/test/{e2e,conformance,fault}/**/*.test.ts"],
      globalSetup: "<rootDir>/test/support/e2e-setup.ts",
      globalTeardown: "<rootDir>/test/support/e2e-teardown.ts",
    },
  ],
  testTimeout: 120_000,
};
