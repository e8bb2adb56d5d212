{{- define "fairlead.image" -}}
{{ .root.Values.image.repository }}/{{ .service }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{- define "fairlead.selector" -}}
app.kubernetes.io/name: fairlead-{{ .service }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- define "fairlead.labels" -}}
{{ include "fairlead.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: fairlead
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end }}

{{- define "fairlead.name" -}}
{{ .root.Release.Name }}-{{ .service }}
{{- end }}

{{- define "fairlead.linkSecret" -}}
{{- $own := ternary .root.Values.link.agentSecret .root.Values.link.identityProxySecret (eq .service "agent") -}}
{{ $own | default (printf "%s-%s-link" .root.Release.Name .service) }}
{{- end }}

{{- /* As `fairlead clusters create` makes it of the relay's origin. */ -}}
{{- define "fairlead.joinAudience" -}}
{{- $relay := .Values.relay.url | lower | trimSuffix "/" | trimSuffix ":443" -}}
{{ .Values.joinServiceAccount.audience | default (printf "%s/clusters/%s" $relay .Values.cluster) }}
{{- end }}

{{- /* What Pod Security calls restricted, and a root that nothing is written to. */ -}}
{{- define "fairlead.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "fairlead.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "fairlead.probes" -}}
startupProbe: { httpGet: { path: /healthz, port: private }, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 60 }
readinessProbe: { httpGet: { path: /readyz, port: private }, periodSeconds: 2, timeoutSeconds: 5 }
livenessProbe: { httpGet: { path: /healthz, port: private }, periodSeconds: 10, timeoutSeconds: 5 }
{{- end }}

{{- /* On different nodes where there are several. */ -}}
{{- define "fairlead.placement" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "fairlead.selector" . | nindent 8 }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
