# SPDX-License-Identifier: Apache-2.0
# Has an interactive zsh complete command lines as at a terminal, and prints each with what it has become.
#
#   zsh -f tests/distros/complete.zsh FOLDER LINE...   FOLDER has the completion _sidestep
zmodload zsh/zpty

folder=$1
shift
for line; do
	zpty shell zsh -f -i
	# The widget completes the line, and gives what has become of it.
	zpty -w shell "fpath=(${(q)folder} \$fpath); autoload -U compinit; compinit -u -D
		finish() { zle complete-word; print -r -- \"=\"\"\$BUFFER\"\"=\"; zle send-break }
		zle -N finish; bindkey '^X' finish; print rea\"\"dy"
	zpty -r shell seen '*ready*' || exit
	zpty -w -n shell "$line"$'\x18'
	zpty -r shell seen $'*=sidestep*=[\r\n]*' || exit
	print -r -- "${${seen##*=sidestep}%=*}" | sed 's/^/sidestep/; s/ *$//'
	zpty -d shell
done
