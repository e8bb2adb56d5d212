/** The version of this program. */
export const VERSION = "0.1.0";

/** This client, for clusters' audit logs. */
export const CLIENT = `fairlead/${VERSION}`;
