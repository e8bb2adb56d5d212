/** Shells that can be told how to complete. */
export const SHELLS = ["bash", "zsh", "fish", "powershell"] as const;
export type Shell = (typeof SHELLS)[number];

/** By the line and not by COMP_WORDS: bash splits words at the colon of a URL too. Also for bash 3.2, which macOS has. */
const BASH = `_fairlead() {
  local line=\${COMP_LINE:0:COMP_POINT} words word
  read -ra words <<< "$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  word=\${words[\${#words[@]} - 1]}
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      :0) ;;
      :*) compopt +o default 2>/dev/null ;;
      "$word"*) COMPREPLY+=("\${line%%$'\\t'*}") ;;
    esac
  done < <(fairlead __complete "\${words[@]:1}" 2>/dev/null)
}
complete -o default -F _fairlead fairlead`;

/** Both as a file of $fpath, which is the function itself, and read by `source`. */
const ZSH = `#compdef fairlead
_fairlead() {
  local line files
  local -a values
  for line in "\${(@f)$(fairlead __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    case $line in
      :0) files=yes ;;
      :*|'') ;;
      *) values+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}") ;;
    esac
  done
  (( $#values )) && _describe fairlead values
  [[ -z $files ]] || _files
}
if [[ $funcstack[1] == _fairlead ]]; then _fairlead "$@"; else compdef _fairlead fairlead; fi`;

const FISH = `function __fairlead_complete
  set -l words (commandline -opc) (commandline -ct)
  for line in (fairlead __complete $words[2..] 2>/dev/null)
    switch $line
      case ':0'
        __fish_complete_path (commandline -ct)
      case ':*'
      case '*'
        echo $line
    end
  end
end
complete -c fairlead -f -a '(__fairlead_complete)'`;

/** An empty word reaches a program as one only since PowerShell 7.3; before, a quoted one does. */
const POWERSHELL = `Register-ArgumentCompleter -Native -CommandName fairlead -ScriptBlock {
  param($word, $line, $cursor)
  $words = @($line.CommandElements | Select-Object -Skip 1 |
    Where-Object { $_.Extent.StartOffset -lt $cursor } | ForEach-Object { $_.ToString() })
  if ($word -eq '') { $words += if ($PSVersionTable.PSVersion -ge [version]'7.3') { '' } else { '""' } }
  fairlead __complete @words 2>$null | Where-Object { $_ -notmatch '^:' } | ForEach-Object {
    $value, $description = $_ -split "\`t", 2
    [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $description)
  }
}`;

/** What a shell has to run to complete `fairlead` by `fairlead __complete`. */
export const SCRIPTS: Readonly<Record<Shell, string>> = { bash: BASH, zsh: ZSH, fish: FISH, powershell: POWERSHELL };
