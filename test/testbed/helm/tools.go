//go:build tools

// Package tools keeps helm in go.mod, so that its version is pinned in go.sum.
package tools

import _ "helm.sh/helm/v3/cmd/helm"
