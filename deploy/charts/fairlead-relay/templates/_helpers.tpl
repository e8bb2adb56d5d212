{{- define "relay.selector" -}}
app.kubernetes.io/name: fairlead-relay
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "relay.labels" -}}
{{ include "relay.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: fairlead
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "relay.claim" -}}
{{ .Values.database.volume.existingClaim | default .Release.Name }}
{{- end }}

{{- /* The relay's configuration. What is secret in it is in files of its own. */ -}}
{{- define "relay.configuration" -}}
listen: ":8443"
tls: { certFile: tls/tls.crt, keyFile: tls/tls.key }
authentication: authentication/authentication.yaml
{{- if .Values.database.postgresql.existingSecret }}
database: { urlFile: postgresql/url }
{{- else }}
database: /var/lib/fairlead/relay.db
{{- end }}
administrators: {{ .Values.administrators | toJson }}
agents:
  certificateSeconds: {{ int .Values.agents.certificateSeconds }}
  {{- if .Values.agents.existingSecret }}
  certFile: agents/tls.crt
  keyFile: agents/tls.key
  {{- end }}
{{- if .Values.webhook.url }}
webhook: { url: {{ .Values.webhook.url | quote }}, secretFile: webhook/secret }
{{- end }}
{{- with .Values.limits }}
limits: {{ . | toJson }}
{{- end }}
oldestVersions: {{ .Values.oldestVersions | toJson }}
{{- with .Values.login }}
login: {{ . | toJson }}
{{- end }}
direct:
  enabled: {{ .Values.direct.enabled }}
  {{- with .Values.direct.domain }}
  domain: {{ . | quote }}
  {{- end }}
{{- end }}
