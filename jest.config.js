/** SWC strips the types of the tests and of the package under test; other workspace packages are taken as they were built. */
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
};

/** @type {import("jest").Config} */
export default {
  projects: [
    {
      ...shared,
      displayName: "unit",
      globalSetup: "<rootDir>/test/support/unit-setup.ts",
      testMatch: [
        "<rootDir>/{packages,services,clients,deploy,demo,bench}/**/src/**/*.test.ts",
        "<rootDir>/test/check/*.test.ts",
      ],
    },
    {
      ...shared,
      displayName: "e2e",
      testMatch: ["<rootDir>/test/{e2e,conformance,fault,real-node}/**/*.test.ts"],
      globalSetup: "<rootDir>/test/support/e2e-setup.ts",
      globalTeardown: "<rootDir>/test/support/e2e-teardown.ts",
    },
  ],
  testTimeout: 120_000,
  testSequencer: "<rootDir>/test/support/longest-first.js",
  // Half of the time goes by in waiting; by itself jest leaves one of two cores idle.
  maxWorkers: 2,
  // What test files leave in a worker's memory is collected again and again, and copied for each process that it starts.
  workerIdleMemoryLimit: "1GB",
  // A handle that a test leaves behind must not keep a run that has ended from ending.
  forceExit: true,
};
