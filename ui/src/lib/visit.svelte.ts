// Who is here: nobody yet, a person who has to set up or to log in, or one who is in.
import { get, onLoggedOut, post, setCsrfToken, type Answer } from "./api/client.ts";
import { live } from "./live.ts";
import { navigation } from "./navigation.svelte.ts";

export type Visitor = Answer<"/admin/session">;

class Visit {
  /** Null until the server has said who is here. */
  current = $state.raw<Visitor | null>(null);
  /** Why it could not be asked. */
  error = $state.raw<unknown>(null);

  get isIn(): boolean {
    return this.current?.state === "logged_in";
  }

  /** Asks the server. */
  begin = async (): Promise<void> => {
    try {
      this.enter(await get("/admin/session"));
    } catch (error) {
      this.current = null;
      this.error = error;
      live.stop();
    }
  };

  /** Takes what the server has said. */
  enter(visitor: Visitor): void {
    this.error = null;
    setCsrfToken(visitor.csrf_token);
    this.current = visitor;
    if (this.isIn) live.start();
    else live.stop();
  }

  logOut = async (): Promise<void> => {
    if (!(await navigation.mayLeave())) return;
    await post("/admin/log-out");
    await this.begin();
  };
}

export const visit = new Visit();

onLoggedOut(() => {
  // Several requests may find out at once.
  if (!visit.isIn) return;
  navigation.guard(null);
  void visit.begin();
});
