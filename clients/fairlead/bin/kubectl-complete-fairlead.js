#!/usr/bin/env node
// kubectl runs kubectl_complete-fairlead to complete `kubectl fairlead`; the program sees by the name what it is to do.
import "../bundle/main.js";
