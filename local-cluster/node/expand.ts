/** `$(NAME)` and `$$` as the kubelet expands them in command, args and env values. */

/** An unknown name stays as it stands; `$$` is one `$`, and so `$$(NAME)` is `$(NAME)`. */
export function expand(text: string, value: (name: string) => string | undefined): string {
  return text.replace(/\$\$|\$\(([^)]*)\)/g, (whole: string, name: string | undefined) => {
    if (whole === "$$") return "$";
    return value(name!) ?? whole;
  });
}
