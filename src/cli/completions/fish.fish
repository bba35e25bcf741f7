# Completion of tern for fish: tern completions fish > ~/.config/fish/completions/tern.fish
function __tern_complete
    for line in (tern complete --line (commandline -cp | string collect) 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path (commandline -ct)
            case :nospace
            case '*'
                echo $line
        end
    end
end
complete -c tern -f -a '(__tern_complete)'
