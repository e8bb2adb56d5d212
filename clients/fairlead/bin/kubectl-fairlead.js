#!/usr/bin/env node
// `kubectl fairlead`: kubectl runs a file of this name; the program sees by it how it is called.
import "../bundle/main.js";
