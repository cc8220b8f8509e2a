[.[] | select(.n % 3 == 0) | {name, words: (.text | split(" ") | map(ascii_upcase) | unique)}]
| group_by(.name) | map(length)
