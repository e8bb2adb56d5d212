#!/usr/bin/env node
// Stands in the package from the start, since npm links a command only if its file is there when it installs.
import "../bundle/main.js";
