# Completion of tern for bash: source <(tern completions bash)
_tern() {
    local line typed="${COMP_LINE:0:COMP_POINT}"
    # bash itself splits words at = and :, and replaces only what stands behind the last of them.
    local word="${typed##*[[:space:]]}"
    local cut="${word%"${word##*[=:]}"}"
    COMPREPLY=()
    while IFS= read -r line; do
        case "$line" in
            :files) compopt -o default ;;
            :nospace) compopt -o nospace ;;
            *)
                line="${line%%$'\t'*}"
                COMPREPLY+=("${line#"$cut"}")
                ;;
        esac
    done < <("$1" complete --line "$typed" 2>/dev/null)
}
complete -F _tern tern
