#compdef tern
# Completion of tern for zsh: source <(tern completions zsh), or this file as _tern in a directory of $fpath
_tern() {
    local line word meaning files
    local -a words_found shown options
    while IFS= read -r line; do
        case $line in
            :files) files=1 ;;
            :nospace) options=(-S '') ;;
            *)
                word=${line%%$'\t'*}
                meaning=${line#*$'\t'}
                words_found+=("$word")
                if [[ -n $meaning ]]; then shown+=("$word  -- $meaning"); else shown+=("$word"); fi
                ;;
        esac
    done < <("${words[1]}" complete --line "${(j: :)words[1,CURRENT-1]} $PREFIX" 2>/dev/null)
    (( ${#words_found} )) && compadd -Q -l -d shown $options -- $words_found
    [[ -n $files ]] && _files
    return 0
}
if [[ ${funcstack[1]} == _tern ]]; then _tern "$@"; else compdef _tern tern; fi
