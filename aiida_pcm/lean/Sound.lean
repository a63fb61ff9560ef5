prelude
import Check
/-! # Sound: what the checker accepts is valid
`check_sound` is the theorem that every certificate ends with; after it stands what follows for those who use one. -/
set_option autoImplicit false
set_option linter.defProp false
noncomputable section

/-! ## Bits -/

theorem Bool.and_false : (a : Bool) → Eq (a.and .false) .false
  | .true => rfl
  | .false => rfl

theorem Bool.and_both : {a b : Bool} → Eq a .true → Eq b .true → Eq (a.and b) .true
  | .true, _, _, h => h
  | .false, _, h, _ => h

namespace Nat

theorem land_zero : (a : Nat) → Eq (a.land zero) zero
  | zero => rfl
  | succ _ => rfl

/-- The lowest bit of both, and the rest. -/
theorem land_bits : (a b : Nat) → Eq (a.land b)
    ((Nat.mul 2 ((a.div 2).land (b.div 2))).add ((a.odd.and b.odd).pick 1 0))
  | zero, _ => rfl
  | succ a, zero => (congrTwo (fun (x : Nat) (b : Bool) => (Nat.mul 2 x).add (b.pick 1 0))
      (land_zero (a.succ.div 2)) (Bool.and_false a.succ.odd)).symm
  | succ a, succ b => land_pin a b

theorem two_pos : zero.lt 2 := succ_le_succ (zero_le 1)

theorem pow_pos : (e : Nat) → zero.lt (Nat.pow 2 e)
  | zero => le_refl 1
  | succ e => le_trans (pow_pos e) (le_trans (le_of_eq (mul_one (Nat.pow 2 e)).symm)
      (mul_le_mul_left (Nat.pow 2 e) (le_succ 1)))

theorem shift_sum (x p a : Nat) : Eq (((x.mul (p.mul 2)).add a)) ((((x.mul p).add (a.div 2)).mul 2).add (a.mod 2)) :=
  (congrTwo Nat.add (mul_assoc x p 2).symm (div_add_mod a 2).symm).trans
    ((add_assoc ((x.mul p).mul 2) ((a.div 2).mul 2) (a.mod 2)).symm.trans
      (congrArg (fun y : Nat => y.add (a.mod 2)) (add_mul (x.mul p) (a.div 2) 2).symm))

theorem shift_div (x p a : Nat) : Eq (((x.mul (p.mul 2)).add a).div 2) ((x.mul p).add (a.div 2)) :=
  div_eq (mod_lt 2 two_pos a) (shift_sum x p a).symm

theorem shift_odd (x p a : Nat) : Eq ((x.mul (p.mul 2)).add a).odd a.odd :=
  congrArg (fun y : Nat => y.beq 1) (mod_eq (mod_lt 2 two_pos a) (shift_sum x p a).symm)

theorem half_lt {p a : Nat} (h : a.lt (p.mul 2)) : (a.div 2).lt p :=
  match e : p.ble (a.div 2) with
  | .false => lt_of_ble e
  | .true =>
    have back : ((a.div 2).mul 2).le a := ⟨a.mod 2, div_add_mod a 2⟩
    (not_le_of_lt h (le_trans (mul_le_mul_right 2 (le_of_ble e)) back)).elim

theorem lt_one : {a : Nat} → a.lt 1 → Eq a zero
  | zero, _ => rfl
  | succ _, h => (not_succ_le_zero (le_of_succ_le_succ h)).elim

/-- Above and below bit m, `land` works apart. -/
theorem land_join : (m x y a b : Nat) → a.lt (Nat.pow 2 m) → b.lt (Nat.pow 2 m) →
    Eq (((x.mul (Nat.pow 2 m)).add a).land ((y.mul (Nat.pow 2 m)).add b))
      (((x.land y).mul (Nat.pow 2 m)).add (a.land b))
  | zero, x, y, _, _, ha, hb =>
    have za := lt_one ha
    have zb := lt_one hb
    (congrTwo Nat.land (congrTwo Nat.add (mul_one x) za) (congrTwo Nat.add (mul_one y) zb)).trans
      (congrTwo Nat.add (mul_one (x.land y)) (congrTwo Nat.land za zb)).symm
  | succ m, x, y, a, b, ha, hb =>
    have step := land_join m x y (a.div 2) (b.div 2) (half_lt ha) (half_lt hb)
    (land_bits ((x.mul (Nat.pow 2 m.succ)).add a) ((y.mul (Nat.pow 2 m.succ)).add b)).trans
      ((congrTwo (fun (u : Nat) (v : Bool) => (Nat.mul 2 u).add (v.pick 1 0))
        ((congrTwo Nat.land (shift_div x (Nat.pow 2 m) a) (shift_div y (Nat.pow 2 m) b)).trans step)
        (congrTwo Bool.and (shift_odd x (Nat.pow 2 m) a) (shift_odd y (Nat.pow 2 m) b))).trans
      ((congrArg (fun u : Nat => u.add ((a.odd.and b.odd).pick 1 0))
        ((mul_add 2 ((x.land y).mul (Nat.pow 2 m)) ((a.div 2).land (b.div 2))).trans
          (congrArg (fun u : Nat => u.add (Nat.mul 2 ((a.div 2).land (b.div 2))))
            ((mul_comm 2 ((x.land y).mul (Nat.pow 2 m))).trans (mul_assoc (x.land y) (Nat.pow 2 m) 2))))).trans
      ((add_assoc ((x.land y).mul (Nat.pow 2 m.succ)) (Nat.mul 2 ((a.div 2).land (b.div 2)))
          ((a.odd.and b.odd).pick 1 0)).trans
        (congrArg ((x.land y).mul (Nat.pow 2 m.succ)).add (land_bits a b).symm))))

theorem double (t : Nat) : Eq (t.mul 2) (t.add t) := congrArg (fun x : Nat => x.add t) (zero_add t)

/-- Bit e of a number of e + 1 bits. -/
theorem land_top (e a : Nat) (h : a.lt (Nat.pow 2 e.succ)) :
    Eq (a.land (Nat.pow 2 e)) (Nat.mul (((Nat.pow 2 e).ble a).pick 1 0) (Nat.pow 2 e)) :=
  have t := pow_pos e
  match big : (Nat.pow 2 e).ble a with
  | .false =>
    have step := land_join e zero 1 a zero (lt_of_ble big) t
    have left : Eq ((zero.mul (Nat.pow 2 e)).add a) a :=
      (congrArg (fun y : Nat => y.add a) (zero_mul (Nat.pow 2 e))).trans (zero_add a)
    (congrTwo Nat.land left.symm (one_mul (Nat.pow 2 e)).symm).trans
      (step.trans (congrArg ((zero.mul (Nat.pow 2 e))).add (land_zero a)))
  | .true =>
    match le_of_ble big with
    | ⟨r, sum⟩ =>
      have less : r.lt (Nat.pow 2 e) := match c : (Nat.pow 2 e).ble r with
        | .false => lt_of_ble c
        | .true => (not_le_of_lt h (le_trans (le_of_eq (double (Nat.pow 2 e)))
            (le_trans (add_le_add (le_refl (Nat.pow 2 e)) (le_of_ble c)) (le_of_eq sum)))).elim
      have step := land_join e 1 1 r zero less t
      have left : Eq (((Nat.mul 1 (Nat.pow 2 e))).add r) a :=
        (congrArg (fun y : Nat => y.add r) (one_mul (Nat.pow 2 e))).trans sum
      (congrTwo Nat.land left.symm (one_mul (Nat.pow 2 e)).symm).trans
        (step.trans (congrArg ((Nat.mul 1 (Nat.pow 2 e))).add (land_zero r)))

end Nat

namespace Nat

theorem zero_sub : (a : Nat) → Eq (zero.sub a) zero
  | zero => rfl
  | succ a => congrArg pred (zero_sub a)

theorem succ_sub_succ (n : Nat) : (j : Nat) → Eq (n.succ.sub j.succ) (n.sub j)
  | zero => rfl
  | succ j => congrArg pred (succ_sub_succ n j)

theorem add_sub : {a b : Nat} → a.le b → Eq (a.add (b.sub a)) b
  | zero, b, _ => zero_add b
  | succ _, zero, h => (not_succ_le_zero h).elim
  | succ a, succ b, h => (succ_add a (b.succ.sub a.succ)).trans (congrArg succ
      ((congrArg a.add (succ_sub_succ b a)).trans (add_sub (le_of_succ_le_succ h))))

theorem add_sub_cancel (a : Nat) : (c : Nat) → Eq ((a.add c).sub c) a
  | zero => rfl
  | succ c => (succ_sub_succ (a.add c) c).trans (add_sub_cancel a c)

theorem ble_add (a b : Nat) : (c : Nat) → Eq ((a.add c).ble (b.add c)) (a.ble b)
  | zero => rfl
  | succ c => ble_add a b c

theorem ble_sub (x : Nat) : (c a : Nat) → Eq ((a.sub c).ble x) (a.ble (x.add c))
  | zero, _ => rfl
  | succ c, zero => congrArg (fun y : Nat => y.ble x) (zero_sub c.succ)
  | succ c, succ a => (congrArg (fun y : Nat => y.ble x) (succ_sub_succ a c)).trans (ble_sub x c a)

theorem ble_not : (a b : Nat) → Eq (a.succ.ble b).not (b.ble a)
  | _, zero => rfl
  | zero, succ _ => rfl
  | succ a, succ b => ble_not a b

theorem ble_both : (a b : Nat) → Eq ((a.ble b).and (b.ble a)) (b.beq a)
  | zero, zero => rfl
  | zero, succ _ => rfl
  | succ _, zero => rfl
  | succ a, succ b => ble_both a b

theorem zero_of_add {a : Nat} : {b : Nat} → Eq (a.add b) zero → Eq b zero
  | zero, _ => rfl
  | succ _, h => (succ_ne_zero h).elim

theorem zero_of_mul {a : Nat} : {b : Nat} → zero.lt b → Eq (a.mul b) zero → Eq a zero
  | zero, h, _ => (lt_irrefl zero h).elim
  | succ _, _, h => zero_of_add h

theorem succ_pred : {a : Nat} → zero.lt a → Eq a a.pred.succ
  | zero, h => (lt_irrefl zero h).elim
  | succ _, _ => rfl

theorem pos_of_lt {a b : Nat} (h : a.lt b) : zero.lt b := le_trans (succ_le_succ (zero_le a)) h

theorem add_lt_right {a b : Nat} (c : Nat) (h : a.lt b) : (a.add c).lt (b.add c) :=
  le_trans (le_of_eq (succ_add a c).symm) (add_le_add h (le_refl c))

theorem div_div (x : Nat) {a c : Nat} (ha : zero.lt a) (hc : zero.lt c) :
    Eq ((x.div a).div c) (x.div (c.mul a)) :=
  have inner : (((x.div a).mod c).mul a).add (x.mod a) |>.lt (c.mul a) :=
    le_trans (le_of_eq (add_succ_pin _ _).symm) (le_trans
      (add_le_add (le_refl (((x.div a).mod c).mul a)) (mod_lt a ha x))
      (le_trans (le_of_eq (succ_mul ((x.div a).mod c) a).symm) (mul_le_mul_right a (mod_lt c hc (x.div a)))))
  (div_eq inner ((add_assoc _ _ _).symm.trans ((congrArg (fun y : Nat => y.add (x.mod a))
    ((congrTwo Nat.add (mul_assoc ((x.div a).div c) c a).symm rfl).trans
      ((add_mul (((x.div a).div c).mul c) ((x.div a).mod c) a).symm.trans
        (congrArg (fun y : Nat => y.mul a) (div_add_mod (x.div a) c))))).trans (div_add_mod x a)))).symm

end Nat

/-! ## Numbers whose digits are 0 and 1 -/

theorem lane_pos (e : Nat) : Nat.lt 0 (lane e) := Nat.pow_pos e.succ

theorem top_lt (e : Nat) : (Nat.pow 2 e).lt (lane e) :=
  Nat.le_trans (Nat.add_le_add (Nat.le_refl (Nat.pow 2 e)) (Nat.pow_pos e))
    (Nat.le_of_eq (Nat.double (Nat.pow 2 e)).symm)

theorem one_lt (e : Nat) : Nat.lt 1 (lane e) := Nat.le_trans (Nat.succ_le_succ (Nat.pow_pos e)) (top_lt e)

/-- The number whose digit i tells whether `g i`. -/
def flags (b : Nat) : Nat → (Nat → Bool) → Nat
  | .zero, _ => .zero
  | .succ n, g => ((flags b n (fun i => g i.succ)).mul b).add ((g .zero).pick 1 0)

/-- The number with n digits 1. -/
def full (b n : Nat) : Nat := flags b n (fun _ => .true)

theorem flags_congr (b : Nat) : (n : Nat) → {g h : Nat → Bool} → ((i : Nat) → Eq (g i) (h i)) →
    Eq (flags b n g) (flags b n h)
  | .zero, _, _, _ => rfl
  | .succ n, _, _, same => congrTwo (fun (x : Nat) (a : Bool) => (x.mul b).add (a.pick 1 0))
      (flags_congr b n (fun i => same i.succ)) (same .zero)

theorem flags_none (b : Nat) : (n : Nat) → Eq (flags b n (fun _ => .false)) .zero
  | .zero => rfl
  | .succ n => (congrArg (fun x : Nat => x.mul b) (flags_none b n)).trans (Nat.zero_mul b)

theorem geometric (d : Nat) : (n : Nat) → Eq ((full d.succ n).mul d).succ (d.succ.pow n)
  | .zero => congrArg Nat.succ (Nat.zero_mul d)
  | .succ n =>
    have step : Eq ((full d.succ n.succ).mul d) ((((full d.succ n).mul d).mul d.succ).add d) :=
      (Nat.succ_mul ((full d.succ n).mul d.succ) d).trans
        (congrArg (fun x : Nat => x.add d) (Nat.mul_right_comm (full d.succ n) d.succ d))
    (congrArg Nat.succ step).trans ((Nat.succ_mul ((full d.succ n).mul d) d.succ).symm.trans
      (congrArg (fun x : Nat => x.mul d.succ) (geometric d n)))

theorem ones_sound (e n : Nat) : Eq (ones e n) (full (lane e) n) :=
  have b := Nat.succ_pred (lane_pos e)
  have positive : Nat.lt 0 (lane e).pred := Nat.le_of_succ_le_succ (Nat.le_trans (one_lt e) (Nat.le_of_eq b))
  have power : Eq (((lane e).pow n).sub 1) ((full (lane e) n).mul (lane e).pred) :=
    Eq.subst (motive := fun x : Nat => Eq ((x.pow n).sub 1) ((full x n).mul (lane e).pred)) b.symm
      (congrArg Nat.pred (geometric (lane e).pred n).symm)
  (congrArg (fun x : Nat => x.div (lane e).pred) power).trans (Nat.mul_div_cancel (full (lane e) n) positive)

theorem pick_lt (e : Nat) : (a : Bool) → Nat.lt (a.pick 1 0) (lane e)
  | .true => one_lt e
  | .false => lane_pos e

theorem pick_land : (a b : Bool) → Eq (Nat.land (a.pick 1 0) (b.pick 1 0)) ((a.and b).pick 1 0)
  | .true, .true => rfl
  | .true, .false => rfl
  | .false, .true => rfl
  | .false, .false => rfl

theorem flags_land (e : Nat) : (n : Nat) → (g h : Nat → Bool) →
    Eq ((flags (lane e) n g).land (flags (lane e) n h)) (flags (lane e) n (fun i => (g i).and (h i)))
  | .zero, _, _ => rfl
  | .succ n, g, h =>
    (Nat.land_join e.succ (flags (lane e) n (fun i => g i.succ)) (flags (lane e) n (fun i => h i.succ)) _ _
      (pick_lt e (g .zero)) (pick_lt e (h .zero))).trans
      (congrTwo (fun x y : Nat => (x.mul (lane e)).add y)
        (flags_land e n (fun i => g i.succ) (fun i => h i.succ)) (pick_land (g .zero) (h .zero)))

theorem pick_not : (a : Bool) → Eq (Nat.add (a.not.pick 1 0) (a.pick 1 0)) 1
  | .true => rfl
  | .false => rfl

theorem flags_not_add (b : Nat) : (n : Nat) → (g : Nat → Bool) →
    Eq ((flags b n (fun i => (g i).not)).add (flags b n g)) (full b n)
  | .zero, _ => rfl
  | .succ n, g =>
    (Nat.add_four _ _ _ _).trans (congrTwo Nat.add ((Nat.add_mul _ _ b).symm.trans
      (congrArg (fun x : Nat => x.mul b) (flags_not_add b n (fun i => g i.succ)))) (pick_not (g .zero)))

theorem flags_not (b n : Nat) (g : Nat → Bool) :
    Eq ((full b n).sub (flags b n g)) (flags b n (fun i => (g i).not)) :=
  (congrArg (fun x : Nat => x.sub (flags b n g)) (flags_not_add b n g).symm).trans
    (Nat.add_sub_cancel (flags b n (fun i => (g i).not)) (flags b n g))

/-! ## Comparing all digits at once -/

/-- Adding c to each of the n digits of x carries nothing over. -/
def Room (e c : Nat) : Nat → Nat → Prop
  | .zero, _ => True
  | .succ n, x => And (((x.mod (lane e)).add c).lt (lane e)) (Room e c n (x.div (lane e)))

theorem room_zero (e : Nat) : (n x : Nat) → Room e 0 n x
  | .zero, _ => .intro
  | .succ n, x => ⟨Nat.mod_lt (lane e) (lane_pos e) x, room_zero e n (x.div (lane e))⟩

theorem full_mul (b n c : Nat) : Eq ((full b n.succ).mul c) ((((full b n).mul c).mul b).add c) :=
  (Nat.succ_mul ((full b n).mul b) c).trans
    (congrArg (fun x : Nat => x.add c) (Nat.mul_right_comm (full b n) b c))

theorem add_each (b n c x : Nat) : Eq (x.add ((full b n.succ).mul c))
    ((((x.div b).add ((full b n).mul c)).mul b).add ((x.mod b).add c)) :=
  (congrTwo Nat.add (Nat.div_add_mod x b).symm (full_mul b n c)).trans ((Nat.add_four _ _ _ _).trans
    (congrArg (fun y : Nat => y.add ((x.mod b).add c)) (Nat.add_mul (x.div b) ((full b n).mul c) b).symm))

theorem spare_add (e c : Nat) : (n x : Nat) → Room e c n x →
    Eq ((x.add ((full (lane e) n).mul c)).land ((full (lane e) n).mul (Nat.pow 2 e)))
      ((flags (lane e) n (fun i => (Nat.pow 2 e).ble ((digit (lane e) x i).add c))).mul (Nat.pow 2 e))
  | .zero, x, _ => (congrArg (x.add ((full (lane e) .zero).mul c)).land (Nat.zero_mul (Nat.pow 2 e))).trans
      ((Nat.land_zero _).trans (Nat.zero_mul (Nat.pow 2 e)).symm)
  | .succ n, x, room =>
    (congrTwo Nat.land (add_each (lane e) n c x) (full_mul (lane e) n (Nat.pow 2 e))).trans
      ((Nat.land_join e.succ _ _ _ _ room.left (top_lt e)).trans
        ((congrTwo (fun u v : Nat => (u.mul (lane e)).add v) (spare_add e c n (x.div (lane e)) room.right)
          (Nat.land_top e ((x.mod (lane e)).add c) room.left)).trans
        ((congrArg (fun u : Nat => u.add _) (Nat.mul_right_comm _ (Nat.pow 2 e) (lane e))).trans
          (Nat.add_mul _ _ (Nat.pow 2 e)).symm)))

theorem spare_sound (e n x c : Nat) (room : Room e c n x) :
    Eq (spare e n (x.add ((full (lane e) n).mul c)))
      (flags (lane e) n (fun i => (Nat.pow 2 e).ble ((digit (lane e) x i).add c))) :=
  (congrArg (fun y : Nat => ((x.add ((full (lane e) n).mul c)).land (y.mul (Nat.pow 2 e))).div (Nat.pow 2 e))
    (ones_sound e n)).trans ((congrArg (fun y : Nat => y.div (Nat.pow 2 e)) (spare_add e c n x room)).trans
      (Nat.mul_div_cancel _ (Nat.pow_pos e)))

theorem room_of_clear (e : Nat) {c : Nat} (small : c.le (Nat.pow 2 e)) : (n x : Nat) →
    Eq (flags (lane e) n (fun i => (Nat.pow 2 e).ble (digit (lane e) x i))) .zero → Room e c n x
  | .zero, _, _ => .intro
  | .succ n, x, h =>
    have low : (x.mod (lane e)).lt (Nat.pow 2 e) := match big : (Nat.pow 2 e).ble (x.mod (lane e)) with
      | .false => Nat.lt_of_ble big
      | .true => (Nat.succ_ne_zero ((congrArg (fun a : Bool => Nat.add ((flags (lane e) n (fun i =>
          (Nat.pow 2 e).ble (digit (lane e) x i.succ))).mul (lane e)) (a.pick 1 0)) big).symm.trans h)).elim
    have rest := Nat.zero_of_mul (lane_pos e) (Nat.zero_of_add ((Nat.add_comm _ _).trans h))
    ⟨Nat.le_trans (Nat.le_of_eq (Nat.succ_add _ c).symm) (Nat.le_trans (Nat.add_le_add low small)
      (Nat.le_of_eq (Nat.double (Nat.pow 2 e)).symm)), room_of_clear e small n (x.div (lane e)) rest⟩

theorem atLeast_sound (e n x : Nat) {low : Nat} (small : low.le (Nat.pow 2 e)) (clear : Eq (spare e n x) 0) :
    Eq (atLeast e n low x) (flags (lane e) n (fun i => low.ble (digit (lane e) x i))) :=
  have less : ((Nat.pow 2 e).sub low).le (Nat.pow 2 e) :=
    ⟨low, (Nat.add_comm _ low).trans (Nat.add_sub small)⟩
  have room := room_of_clear e less n x ((spare_sound e n x 0 (room_zero e n x)).symm.trans clear)
  (congrArg (fun y : Nat => spare e n (x.add (y.mul ((Nat.pow 2 e).sub low)))) (ones_sound e n)).trans
    ((spare_sound e n x ((Nat.pow 2 e).sub low) room).trans (flags_congr (lane e) n (fun i =>
      (congrArg (fun y : Nat => y.ble ((digit (lane e) x i).add ((Nat.pow 2 e).sub low)))
        (Nat.add_sub small).symm).trans
        (Nat.ble_add low (digit (lane e) x i) ((Nat.pow 2 e).sub low)))))

/-! ## The box -/

/-- A word that is allowed as the end of a range. -/
abbrev Word (x : Nat) : Prop := x.le unknownError

theorem word_le {x : Nat} (h : Word x) : x.le (Nat.pow 2 32) := Nat.le_trans h (Nat.le_of_ble (Eq.refl Bool.true))

theorem word_lt {x : Nat} (h : Word x) : x.succ.le (Nat.pow 2 32) :=
  Nat.le_trans (Nat.succ_le_succ h) (Nat.le_of_ble (Eq.refl Bool.true))

theorem between_sound (n x : Nat) {low high : Nat} (hl : Word low) (hh : Word high) (clear : Eq (spare 32 n x) 0) :
    Eq (between n low high x)
      (flags wordBase n (fun i => (low.ble (digit wordBase x i)).and ((digit wordBase x i).ble high))) :=
  (congrTwo Nat.land (atLeast_sound 32 n x (word_le hl) clear)
    ((congrTwo Nat.sub (ones_sound 32 n) (atLeast_sound 32 n x (word_lt hh) clear)).trans
      ((flags_not wordBase n _).trans
        (flags_congr wordBase n (fun i => Nat.ble_not high (digit wordBase x i)))))).trans
    (flags_land 32 n _ _)

theorem fit_lt {e n x : Nat} (h : Eq (fit e n x) .true) : x.lt ((lane e).pow n) := Nat.le_of_ble (Bool.and_left h)

theorem fit_clear {e n x : Nat} (h : Eq (fit e n x) .true) : Eq (spare e n x) 0 := Nat.eq_of_beq (Bool.and_right h)

theorem insideRows_sound (n : Nat) : (box : List Range) → (fs : List Nat) →
    All (fun r : Range => And (Word r.lo) (Word r.hi)) box → Eq (fitAll n fs) .true →
    Eq (insideRows n box fs) (flags wordBase n (fun i => inBox box (fs.map (fun x => digit wordBase x i))))
  | .nil, _, _, _ => ones_sound 32 n
  | .cons _ _, .nil, _, _ => (flags_none wordBase n).symm
  | .cons _ rs, .cons x xs, words, h =>
    (congrTwo Nat.land (between_sound n x words.left.left words.left.right (fit_clear (Bool.and_left h)))
      (insideRows_sound n rs xs words.right (Bool.and_right h))).trans (flags_land 32 n _ _)

/-- Row i of a block, as `Rows.table` has it. -/
abbrev rowAt (g e : Nat) (fs : List Nat) (i : Nat) : Row :=
  ⟨digit groupBase g i, digit wordBase e i, fs.map (fun x => digit wordBase x i)⟩

/-! ## Counting -/

/-- How many of the first n. -/
def howMany : Nat → (Nat → Bool) → Nat
  | .zero, _ => 0
  | .succ n, g => (howMany n (fun i => g i.succ)).add ((g .zero).pick 1 0)

theorem howMany_le : (n : Nat) → (g : Nat → Bool) → (howMany n g).le n
  | .zero, _ => Nat.le_refl 0
  | .succ n, g => Nat.add_le_add (howMany_le n (fun i => g i.succ)) (one (g .zero))
where
  one : (a : Bool) → Nat.le (a.pick 1 0) 1
    | .true => Nat.le_refl 1
    | .false => Nat.zero_le 1

/-- What `flags` exceeds the number of flags by, divided by the base less one. -/
def excess (d : Nat) : Nat → (Nat → Bool) → Nat
  | .zero, _ => .zero
  | .succ n, g => (flags d.succ n (fun i => g i.succ)).add (excess d n (fun i => g i.succ))

theorem flags_sum (d : Nat) : (n : Nat) → (g : Nat → Bool) →
    Eq (((excess d n g).mul d).add (howMany n g)) (flags d.succ n g)
  | .zero, _ => Nat.zero_mul d
  | .succ n, g =>
    (congrArg (fun x : Nat => x.add _) (Nat.add_mul _ _ d)).trans
      ((Nat.add_assoc _ _ _).symm.trans (congrArg (fun x : Nat => x.add ((g .zero).pick 1 0))
        ((Nat.add_assoc _ _ _).trans (congrArg (Nat.add _) (flags_sum d n (fun i => g i.succ))))))

theorem sum_sound (n : Nat) (g : Nat → Bool) (small : n.lt (wordBase.sub 1)) :
    Eq (sum (flags wordBase n g)) (howMany n g) :=
  have b : Eq wordBase wordBase.pred.succ := Nat.succ_pred (lane_pos 32)
  have split : Eq (((excess wordBase.pred n g).mul wordBase.pred).add (howMany n g)) (flags wordBase n g) :=
    (flags_sum wordBase.pred n g).trans (congrArg (fun x : Nat => flags x n g) b.symm)
  Nat.mod_eq (Nat.le_trans (Nat.succ_le_succ (howMany_le n g)) small) split

theorem count_listOf {α : Type} (p : α → Bool) : (n : Nat) → (f : Nat → α) →
    Eq (count p (listOf n f)) (howMany n (fun i => p (f i)))
  | .zero, _ => rfl
  | .succ n, f => congrArg (fun x : Nat => x.add ((p (f .zero)).pick 1 0)) (count_listOf p n (fun i => f i.succ))

theorem count_append (p : Row → Bool) (ys : List Row) :
    (xs : List Row) → Eq (count p (xs.append ys)) ((count p xs).add (count p ys))
  | .nil => (Nat.zero_add _).symm
  | .cons x xs => (congrArg (fun n : Nat => n.add ((p x).pick 1 0)) (count_append p ys xs)).trans
      (Nat.add_right_comm (count p xs) (count p ys) ((p x).pick 1 0))

/-! ## Order statistics -/

/-- Those of which something holds, and those of which it does not. -/
theorem howMany_not : (n : Nat) → (g : Nat → Bool) → Eq ((howMany n (fun i => (g i).not)).add (howMany n g)) n
  | .zero, _ => rfl
  | .succ n, g => (Nat.add_four _ _ _ _).trans
      (congrTwo Nat.add (howMany_not n (fun i => g i.succ)) (pick_not (g .zero)))

theorem howMany_rest (n : Nat) (g : Nat → Bool) : Eq (n.sub (howMany n g)) (howMany n (fun i => (g i).not)) :=
  (congrArg (fun x : Nat => x.sub (howMany n g)) (howMany_not n g).symm).trans (Nat.add_sub_cancel _ _)

theorem howMany_congr : (n : Nat) → {g h : Nat → Bool} → ((i : Nat) → Eq (g i) (h i)) → Eq (howMany n g) (howMany n h)
  | .zero, _, _, _ => rfl
  | .succ n, _, _, same => congrTwo (fun (x : Nat) (b : Bool) => x.add (b.pick 1 0))
      (howMany_congr n (fun i => same i.succ)) (same .zero)

/-- Those below q, counted as those that are not at least q. -/
theorem count_below (n x : Nat) {q : Nat} (small : n.lt (wordBase.sub 1)) (word : q.le (Nat.pow 2 32))
    (clear : Eq (spare 32 n x) 0) :
    Eq (n.sub (sum (atLeast 32 n q x))) (count (fun y : Nat => y.blt q) (listOf n (digit wordBase x))) :=
  (congrArg n.sub ((congrArg sum (atLeast_sound 32 n x word clear)).trans (sum_sound n _ small))).trans
    ((howMany_rest n _).trans ((howMany_congr n (fun i => flip (digit wordBase x i) q)).trans
      (count_listOf (fun y : Nat => y.blt q) n (digit wordBase x)).symm))
where
  flip (y q : Nat) : Eq (q.ble y).not (y.blt q) :=
    (congrArg Bool.not (Nat.ble_not y q).symm).trans (twice (y.succ.ble q))
  twice : (a : Bool) → Eq a.not.not a
    | .true => rfl
    | .false => rfl

theorem blt_succ (y q : Nat) : Eq (y.blt q.succ) (y.ble q) := rfl

theorem ordered_sound {n x i q : Nat} (small : n.lt (wordBase.sub 1)) (clear : Eq (spare 32 n x) 0)
    (h : Eq (ordered n x i q) .true) : Ordered (listOf n (digit wordBase x)) i q :=
  have word : q.le unknownError := Nat.le_of_ble (Bool.and_left h)
  have both := Bool.and_right h
  ⟨Nat.le_trans (Nat.le_of_eq (congrArg Nat.succ (count_below n x small (word_le word) clear).symm))
      (Nat.le_of_ble (Bool.and_left both)),
    Nat.le_trans (Nat.le_of_ble (Bool.and_right both)) (Nat.le_of_eq (count_below n x small (word_lt word) clear))⟩

theorem proper_sound : (v : Interval) → Eq (proper v) .true → v.Proper
  | ⟨_, _, _, _, _, _⟩, h =>
    have shape := Bool.and_left h
    have small := Nat.le_of_ble (Bool.and_left shape)
    have clear := fit_clear (Bool.and_right shape)
    have both := Bool.and_right h
    ⟨fit_lt (Bool.and_right shape), ordered_sound small clear (Bool.and_left both),
      ordered_sound small clear (Bool.and_right both)⟩

theorem propers_sound : (vs : List Interval) → Eq (propers vs) .true → All Interval.Proper vs
  | .nil, _ => .intro
  | .cons v vs, h => ⟨proper_sound v (Bool.and_left h), propers_sound vs (Bool.and_right h)⟩

/-- What is not above q is below it, or q. -/
theorem count_split (q : Nat) : (xs : List Nat) →
    Eq (count (fun x : Nat => x.ble q) xs) ((count (fun x : Nat => x.blt q) xs).add (count (fun x : Nat => x.beq q) xs))
  | .nil => rfl
  | .cons x xs => (congrTwo Nat.add (count_split q xs) (one x q)).trans (Nat.add_four _ _ _ _)
where
  one : (x q : Nat) → Eq (@Bool.pick Nat (x.ble q) 1 0) (Nat.add ((x.blt q).pick 1 0) ((x.beq q).pick 1 0))
    | .zero, .zero => rfl
    | .zero, .succ _ => rfl
    | .succ _, .zero => rfl
    | .succ x, .succ q => one x q

/-- **Membership**: an order statistic is one of the values. -/
theorem ordered_member (xs : List Nat) {i q : Nat} (h : Ordered xs i q) :
    Nat.lt 0 (count (fun x : Nat => x.beq q) xs) :=
  match e : count (fun x : Nat => x.beq q) xs with
  | .succ _ => Nat.succ_le_succ (Nat.zero_le _)
  | .zero => (Nat.lt_irrefl _ (Nat.le_trans h.left (Nat.le_trans h.right
      (Nat.le_of_eq ((count_split q xs).trans (congrArg (Nat.add _) e)))))).elim

/-- `countRows` counts the rows in the box of which `q` holds, if `mask` tells of which errors `q` speaks. -/
theorem countRows_sound (box : List Range) (words : All (fun r : Range => And (Word r.lo) (Word r.hi)) box)
    {mask : Nat → Nat → Nat} {q : Nat → Bool}
    (h : (n e : Nat) → Eq (fit 32 n e) .true → Eq (mask n e) (flags wordBase n (fun i => q (digit wordBase e i)))) :
    (t : Rows) → Eq (fits t) .true →
      Eq (countRows box mask t) (count (fun r => (inBox box r.features).and (q r.error)) t.table)
  | .block n g e fs, ok =>
    have most := Bool.and_right (Bool.and_right ok)
    (congrArg sum ((congrTwo Nat.land (insideRows_sound n box fs words (Bool.and_right most))
      (h n e (Bool.and_left most))).trans (flags_land 32 n _ _))).trans
      ((sum_sound n _ (Nat.le_of_ble (Bool.and_left ok))).trans
        (count_listOf (fun r : Row => (inBox box r.features).and (q r.error)) n (rowAt g e fs)).symm)
  | .join l r, ok => (congrTwo Nat.add (countRows_sound box words h l (Bool.and_left ok))
      (countRows_sound box words h r (Bool.and_right ok))).trans (count_append _ r.table l.table).symm

theorem or_same {a b : Bool} (h : Eq a .true → Eq b .true) : Eq (a.or b) b :=
  match a, h with
  | .true, h => (h rfl).symm
  | .false, _ => rfl

theorem sub_le (n : Nat) : (j : Nat) → (n.sub j).le n
  | .zero => Nat.le_refl n
  | .succ j => Nat.le_trans (pred_le (n.sub j)) (sub_le n j)
where
  pred_le : (a : Nat) → a.pred.le a
    | .zero => Nat.le_refl .zero
    | .succ a => Nat.le_succ a

/-- With a tolerance that is a word, an unknown reference fails without being named. -/
theorem fails_simple (tolerance noise : Nat) (small : tolerance.lt unknownError.pred) (r : Row) :
    Eq ((tolerance.succ.sub noise).ble r.error) (r.fails tolerance noise) :=
  (Nat.ble_sub r.error noise tolerance.succ).trans (or_same (a := r.unknown) (fun h =>
    have below : unknownError.pred.le unknownError := sub_le unknownError 1
    have large : unknownError.le (r.error.add noise) := Nat.le_trans (Nat.le_of_eq (Nat.eq_of_beq h).symm) ⟨noise, rfl⟩
    Nat.ble_of_le (Nat.le_trans small (Nat.le_trans below large)))).symm

/-! ## Groups -/

/-- Do the numbers ascend strictly from `low` on, and does `rest` agree with what follows? -/
def ascend (rest : Nat → Bool) : List Nat → Nat → Bool
  | .nil, low => rest low
  | .cons x xs, low => (low.ble x).and (ascend rest xs x.succ)

/-- Each of n + 1 digits is smaller than the next. -/
def Steps (b : Nat) : Nat → Nat → Prop
  | .zero, _ => True
  | .succ n, g => And ((g.mod b).lt ((g.div b).mod b)) (Steps b n (g.div b))

theorem flags_full (e : Nat) : (n : Nat) → (g : Nat → Bool) → Eq (flags (lane e) n.succ g) (full (lane e) n.succ) →
    And (Eq (g .zero) .true) (Eq (flags (lane e) n (fun i => g i.succ)) (full (lane e) n))
  | n, g, h =>
    have rest := Nat.div_unique (pick_lt e (g .zero)) (one_lt e) _ _ h
    have low := Nat.add_cancel _ ((Nat.add_comm _ _).trans (((congrArg (fun x : Nat => (x.mul (lane e)).add _)
      rest.symm).trans h).trans (Nat.add_comm ((full (lane e) n).mul (lane e)) 1)))
    ⟨one low, rest⟩
where
  one : {a : Bool} → Eq (@Bool.pick Nat a 1 0) 1 → Eq a .true
    | .true, _ => rfl
    | .false, h => (Nat.succ_ne_zero h.symm).elim

theorem le_cancel {a b : Nat} (c : Nat) (h : (a.add c).le (b.add c)) : a.le b :=
  Nat.le_of_ble ((Nat.ble_add a b c).symm.trans (Nat.ble_of_le h))

theorem add_le_cancel {a b : Nat} (c : Nat) (h : (c.add a).le (c.add b)) : a.le b :=
  le_cancel c (Nat.le_trans (Nat.le_of_eq (Nat.add_comm a c)) (Nat.le_trans h (Nat.le_of_eq (Nat.add_comm c b))))

/-- One digit of a difference: no borrowing, and the next group is larger. -/
theorem step_digit {t b p q r d g y : Nat} (two : Eq (t.mul 2) b) (one : Eq p.succ t) (hd : d.lt b) (large : t.le d)
    (hg : (g.add t).lt b) (hy : (y.add t).lt b) (e : Eq ((q.mul b).add (d.add g)) ((r.mul b).add (y.add p))) :
    And (g.lt y) (Eq q r) :=
  have less : (y.add p).lt b :=
    Nat.le_trans (Nat.le_trans (Nat.le_of_eq (congrArg y.add one)) (Nat.le_succ (y.add t))) hy
  match over : b.ble (d.add g) with
  | .false =>
    have same := Nat.div_unique (Nat.lt_of_ble over) less q r e
    have digit : Eq (d.add g) (y.add p) := Nat.add_cancel (q.mul b) ((Nat.add_comm _ _).trans (e.trans
      ((congrArg (fun x : Nat => (x.mul b).add (y.add p)) same.symm).trans (Nat.add_comm _ _))))
    have room : (t.add g).le (y.add p) := Nat.le_trans (Nat.add_le_add large (Nat.le_refl g)) (Nat.le_of_eq digit)
    have more : (t.add g.succ).le (t.add y) := Nat.le_trans (Nat.succ_le_succ room)
      (Nat.le_of_eq ((congrArg y.add one).trans (Nat.add_comm y t)))
    ⟨add_le_cancel t more, same⟩
  | .true =>
    match Nat.le_of_ble over with
    | ⟨s, sum⟩ =>
      have half : Eq (t.add t) b := (Nat.double t).symm.trans two
      have small : g.lt t := le_cancel t (Nat.le_trans (Nat.le_of_eq (Nat.succ_add g t))
        (Nat.le_trans hg (Nat.le_of_eq half.symm)))
      have both : (b.add s.succ.succ).le (b.add t) := Nat.le_trans
        (Nat.le_of_eq (congrArg (fun x : Nat => x.succ.succ) sum))
        (Nat.le_trans (Nat.le_of_eq (congrArg Nat.succ (Nat.succ_add d g)).symm) (Nat.add_le_add hd small))
      have tight : s.succ.le p := Nat.le_of_succ_le_succ (Nat.le_trans (add_le_cancel b both) (Nat.le_of_eq one.symm))
      have fits : s.lt b := Nat.le_trans tight (Nat.le_trans (Nat.le_trans ⟨y, Nat.add_comm p y⟩ (Nat.le_succ _)) less)
      have carried : Eq ((q.succ.mul b).add s) ((r.mul b).add (y.add p)) :=
        (congrArg (fun x : Nat => x.add s) (Nat.succ_mul q b)).trans ((Nat.add_assoc _ b s).trans
          ((congrArg (q.mul b).add sum).trans e))
      have same := Nat.div_unique fits less q.succ r carried
      have digit : Eq s (y.add p) := Nat.add_cancel (r.mul b) ((Nat.add_comm _ _).trans
        (((congrArg (fun x : Nat => (x.mul b).add s) same.symm).trans carried).trans (Nat.add_comm _ _)))
      (Nat.lt_irrefl s (Nat.le_trans tight (Nat.le_trans ⟨y, Nat.add_comm p y⟩ (Nat.le_of_eq digit.symm)))).elim

theorem room_small {e c n x : Nat} (h : Room e c n.succ x) : ((x.mod (lane e)).add c).lt (lane e) := h.left

/-- If all digits of the differences are large, the groups ascend. -/
theorem steps_sound (e : Nat) : (n g d z : Nat) → Room e (Nat.pow 2 e) n.succ g →
    Eq (flags (lane e) n (fun i => (Nat.pow 2 e).ble (digit (lane e) d i))) (full (lane e) n) →
    Eq (d.add g) (((g.div (lane e)).add ((full (lane e) n).mul (Nat.pow 2 e).pred)).add (z.mul ((lane e).pow n))) →
    Steps (lane e) n g
  | .zero, _, _, _, _, _, _ => .intro
  | .succ n, g, d, z, room, tops, sum =>
    have parts := flags_full e n _ tops
    have left : Eq (d.add g) ((((d.div (lane e)).add (g.div (lane e))).mul (lane e)).add
        ((d.mod (lane e)).add (g.mod (lane e)))) :=
      (congrTwo Nat.add (Nat.div_add_mod d (lane e)).symm (Nat.div_add_mod g (lane e)).symm).trans
        ((Nat.add_four _ _ _ _).trans (congrArg (fun x : Nat => x.add _) (Nat.add_mul _ _ (lane e)).symm))
    have right := (congrTwo Nat.add (add_each (lane e) n (Nat.pow 2 e).pred (g.div (lane e)))
      (Nat.mul_assoc z ((lane e).pow n) (lane e)).symm).trans ((Nat.add_right_comm _ _ _).trans
        (congrArg (fun x : Nat => x.add _) (Nat.add_mul _ (z.mul ((lane e).pow n)) (lane e)).symm))
    have here := step_digit (t := Nat.pow 2 e) rfl (Nat.succ_pred (Nat.pow_pos e)).symm
      (Nat.mod_lt (lane e) (lane_pos e) d) (Nat.le_of_ble parts.left) room.left room.right.left
      (left.symm.trans (sum.trans right))
    ⟨here.left, steps_sound e n (g.div (lane e)) (d.div (lane e)) z room.right parts.right here.right⟩

theorem ascend_steps (rest : Nat → Bool) (b : Nat) : (n g low : Nat) → Eq (low.ble (g.mod b)) .true → Steps b n g →
    Eq (rest (digit b g n).succ) .true → Eq (ascend rest (listOf n.succ (digit b g)) low) .true
  | .zero, _, _, h, _, last => Bool.and_both h last
  | .succ n, g, _, h, up, last =>
    Bool.and_both h (ascend_steps rest b n (g.div b) (g.mod b).succ (Nat.ble_of_le up.left) up.right last)

theorem power_pos {b : Nat} (h : Nat.lt 0 b) : (n : Nat) → Nat.lt 0 (b.pow n)
  | .zero => Nat.le_refl 1
  | .succ n => Nat.le_trans (power_pos h n) (Nat.le_trans (Nat.le_of_eq (Nat.mul_one _).symm)
      (Nat.mul_le_mul_left (b.pow n) h))

theorem digit_top {b : Nat} (h : Nat.lt 0 b) : (n g : Nat) → Eq (digit b g n) ((g.div (b.pow n)).mod b)
  | .zero, g => congrArg (fun x : Nat => x.mod b) (Nat.div_eq (Nat.le_refl 1) (Nat.mul_one g)).symm
  | .succ n, g => (digit_top h n (g.div b)).trans
      (congrArg (fun x : Nat => x.mod b) (Nat.div_div g h (power_pos h n)))

theorem ascendBlock_sound (e : Nat) (rest : Nat → Bool) : (n g low : Nat) → Eq (fit e n g) .true →
    Eq (ascendBlock e rest n g low) .true → Eq (ascend rest (listOf n (digit (lane e) g)) low) .true
  | .zero, _, _, _, h => h
  | .succ n, g, low, ok, h =>
    have h1 := Bool.and_right h
    have h2 := Bool.and_right h1
    have room := room_of_clear e (Nat.le_refl (Nat.pow 2 e)) n.succ g
      ((spare_sound e n.succ g 0 (room_zero e n.succ g)).symm.trans (fit_clear ok))
    have tops := (spare_sound e n ((raised e n g).sub g) 0 (room_zero e n _)).symm.trans
      ((Nat.eq_of_beq (Bool.and_left h2)).trans (ones_sound e n))
    have sum := (Nat.add_comm _ g).trans ((Nat.add_sub (Nat.le_of_ble (Bool.and_left h1))).trans
      (congrArg (fun x : Nat => ((g.div (lane e)).add (x.mul (Nat.pow 2 e).pred)).add
        ((lane e).mul ((lane e).pow n))) (ones_sound e n)))
    ascend_steps rest (lane e) n g low (Bool.and_left h)
      (steps_sound e n g ((raised e n g).sub g) (lane e) room tops sum)
      ((congrArg (fun x : Nat => rest x.succ) (digit_top (lane_pos e) n g)).trans (Bool.and_right h2))

theorem map_listOf (f : Nat → Row) (n : Nat) : Eq ((listOf n f).map Row.group) (listOf n (fun i => (f i).group)) :=
  match n with
  | .zero => rfl
  | .succ n => congrArg (List.cons (f .zero).group) (map_listOf (fun i => f i.succ) n)

theorem ascend_mono {r s : Nat → Bool} (h : (low : Nat) → Eq (r low) .true → Eq (s low) .true) :
    (xs : List Nat) → (low : Nat) → Eq (ascend r xs low) .true → Eq (ascend s xs low) .true
  | .nil, low, a => h low a
  | .cons _ xs, _, a => Bool.and_both (Bool.and_left a) (ascend_mono h xs _ (Bool.and_right a))

theorem ascend_append (rest : Nat → Bool) (ys : List Nat) :
    (xs : List Nat) → (low : Nat) → Eq (ascend (ascend rest ys) xs low) (ascend rest (xs.append ys) low)
  | .nil, _ => rfl
  | .cons x xs, low => congrArg (Bool.and (low.ble x)) (ascend_append rest ys xs x.succ)

theorem ascendRows_sound : (t : Rows) → Eq (fits t) .true → (rest : Nat → Bool) → (low : Nat) →
    Eq (ascendRows t rest low) .true → Eq (ascend rest (t.table.map Row.group) low) .true
  | .block n g e fs, ok, rest, low, h =>
    Eq.subst (motive := fun xs : List Nat => Eq (ascend rest xs low) .true) (map_listOf (rowAt g e fs) n).symm
      (ascendBlock_sound 64 rest n g low (Bool.and_left (Bool.and_right ok)) h)
  | .join l r, ok, rest, low, h =>
    (congrArg (fun xs : List Nat => ascend rest xs low) (List.map_append Row.group r.table l.table)).trans
      ((ascend_append rest _ _ low).symm.trans
        (ascend_mono (ascendRows_sound r (Bool.and_right ok) rest) _ low
          (ascendRows_sound l (Bool.and_left ok) (ascendRows r rest) low h)))

theorem ascend_absent (rest : Nat → Bool) {y : Nat} : (xs : List Nat) → (low : Nat) → y.lt low →
    Eq (ascend rest xs low) .true → All (fun x => Not (Eq y x)) xs
  | .nil, _, _, _ => .intro
  | .cons x xs, _, less, h =>
    have lessX : y.lt x := Nat.le_trans less (Nat.le_of_ble (Bool.and_left h))
    ⟨Nat.lt_ne lessX, ascend_absent rest xs x.succ (Nat.le_trans lessX (Nat.le_succ x)) (Bool.and_right h)⟩

theorem ascend_distinct (rest : Nat → Bool) : (xs : List Nat) → (low : Nat) →
    Eq (ascend rest xs low) .true → Distinct xs
  | .nil, _, _ => .intro
  | .cons x xs, _, h =>
    ⟨ascend_absent rest xs x.succ (Nat.le_refl x.succ) (Bool.and_right h),
      ascend_distinct rest xs x.succ (Bool.and_right h)⟩

/-! ## Blocks -/

/-- The number with these digits. -/
def pack (b : Nat) : List Nat → Nat
  | .nil => 0
  | .cons x xs => ((pack b xs).mul b).add x

theorem div_lt_pow {b n x : Nat} (h : x.lt (b.pow n.succ)) : (x.div b).lt (b.pow n) :=
  match e : (x.div b).succ.ble (b.pow n) with
  | .true => Nat.le_of_ble e
  | .false =>
    have big : (b.pow n).le (x.div b) := Nat.le_of_succ_le_succ (Nat.lt_of_ble e)
    have back : ((x.div b).mul b).le x := ⟨x.mod b, Nat.div_add_mod x b⟩
    (Nat.not_le_of_lt h (Nat.le_trans (Nat.mul_le_mul_right b big) back)).elim

/-- **Blocks are exact**: the digits of a number that fits give it back, so that no two tables are written alike. -/
theorem blocks_exact (b : Nat) : (n x : Nat) → x.lt (b.pow n) → Eq (pack b (listOf n (digit b x))) x
  | .zero, _, h => (Nat.lt_one h).symm
  | .succ n, x, h => (congrArg (fun y : Nat => (y.mul b).add (x.mod b))
      (blocks_exact b n (x.div b) (div_lt_pow h))).trans
      (Nat.div_add_mod x b)

/-! ## Pascal's triangle -/

theorem sub_split : (n j : Nat) → j.lt n → Eq (n.sub j) (n.sub j.succ).succ
  | .zero, _, h => (Nat.not_succ_le_zero h).elim
  | .succ _, .zero, _ => rfl
  | .succ n, .succ j, h => (Nat.succ_sub_succ n j).trans
      ((sub_split n j (Nat.le_of_succ_le_succ h)).trans (congrArg Nat.succ (Nat.succ_sub_succ n j.succ).symm))

theorem choose_zero : (n : Nat) → Eq (choose n .zero) 1
  | .zero => rfl
  | .succ _ => rfl

theorem choose_beyond : (n j : Nat) → Eq (n.sub j) .zero → Eq (choose n j.succ) .zero
  | .zero, _, _ => rfl
  | .succ _, .zero, h => (Nat.succ_ne_zero h).elim
  | .succ n, .succ j, h =>
    have less : Eq (n.sub j) .zero := (Nat.succ_sub_succ n j).symm.trans h
    congrTwo Nat.add (choose_beyond n j less) (choose_beyond n j.succ (congrArg Nat.pred less))

theorem choose_shift (a j : Nat) : (x : Nat) → (Eq x .zero → Eq a .zero) →
    Eq (a.mul (j.succ.succ.add x.pred)) (a.mul (j.succ.add x))
  | .zero, h =>
    have none := h rfl
    (congrArg (fun y : Nat => y.mul j.succ.succ) none).trans ((Nat.zero_mul j.succ.succ).trans
      ((Nat.zero_mul j.succ).symm.trans (congrArg (fun y : Nat => y.mul j.succ) none.symm)))
  | .succ y, _ => congrArg a.mul (Nat.succ_add j.succ y)

/-- The next binomial coefficient from the one before. -/
theorem choose_ratio : (n j : Nat) → Eq ((choose n j.succ).mul j.succ) ((choose n j).mul (n.sub j))
  | .zero, j => (Nat.zero_mul j.succ).trans (congrArg (choose .zero j).mul (Nat.zero_sub j)).symm
  | .succ n, .zero =>
    have one : Eq (choose n 1) n := (Nat.mul_one _).symm.trans ((choose_ratio n .zero).trans
      ((congrArg (fun y : Nat => y.mul n) (choose_zero n)).trans (Nat.one_mul n)))
    (Nat.mul_one _).trans ((congrTwo Nat.add (choose_zero n) one).trans
      ((Nat.add_comm 1 n).trans (Nat.one_mul n.succ).symm))
  | .succ n, .succ j =>
    have left : Eq ((choose n.succ j.succ.succ).mul j.succ.succ)
        ((choose n j.succ).mul (j.succ.succ.add (n.sub j).pred)) :=
      (Nat.add_mul (choose n j.succ) (choose n j.succ.succ) j.succ.succ).trans
        ((congrArg ((choose n j.succ).mul j.succ.succ).add (choose_ratio n j.succ)).trans
          (Nat.mul_add (choose n j.succ) j.succ.succ (n.sub j.succ)).symm)
    have right : Eq ((choose n.succ j.succ).mul (n.succ.sub j.succ))
        ((choose n j.succ).mul (j.succ.add (n.sub j))) :=
      (congrArg (choose n.succ j.succ).mul (Nat.succ_sub_succ n j)).trans
        ((Nat.add_mul (choose n j) (choose n j.succ) (n.sub j)).trans
          ((congrArg (fun y : Nat => y.add ((choose n j.succ).mul (n.sub j))) (choose_ratio n j).symm).trans
            (Nat.mul_add (choose n j.succ) j.succ (n.sub j)).symm))
    left.trans ((choose_shift (choose n j.succ) j (n.sub j) (choose_beyond n j)).trans right.symm)

/-! ## The binomial tail -/

theorem next_term (n p j term : Nat) (h : Eq term ((choose n j).mul (p.pow j))) :
    Eq (((term.mul (n.sub j)).mul p).div j.succ) ((choose n j.succ).mul (p.pow j.succ)) :=
  have order : Eq ((((choose n j).mul (p.pow j)).mul (n.sub j)).mul p)
      (((choose n j.succ).mul (p.pow j.succ)).mul j.succ) :=
    (congrArg (fun y : Nat => y.mul p)
      ((Nat.mul_right_comm (choose n j) (p.pow j) (n.sub j)).trans
        ((congrArg (fun y : Nat => y.mul (p.pow j)) (choose_ratio n j).symm).trans
          (Nat.mul_right_comm (choose n j.succ) j.succ (p.pow j))))).trans
      ((Nat.mul_right_comm ((choose n j.succ).mul (p.pow j)) j.succ p).trans
        (congrArg (fun y : Nat => y.mul j.succ) (Nat.mul_assoc (choose n j.succ) (p.pow j) p)))
  (congrArg (fun y : Nat => ((y.mul (n.sub j)).mul p).div j.succ) h).trans
    ((congrArg (fun y : Nat => y.div j.succ) order).trans
      (Nat.mul_div_cancel ((choose n j.succ).mul (p.pow j.succ)) (Nat.succ_le_succ (Nat.zero_le j))))

theorem next_sum (n p d j sum next : Nat) (less : j.lt n)
    (hn : Eq next ((choose n j.succ).mul (p.pow j.succ)))
    (hs : Eq (tail n p d j) (sum.mul ((d.sub p).pow (n.sub j)))) :
    Eq (tail n p d j.succ) (((sum.mul (d.sub p)).add next).mul ((d.sub p).pow (n.sub j.succ))) :=
  have split : Eq (sum.mul ((d.sub p).pow (n.sub j)))
      ((sum.mul (d.sub p)).mul ((d.sub p).pow (n.sub j.succ))) :=
    (congrArg (fun y : Nat => sum.mul ((d.sub p).pow y)) (sub_split n j less)).trans
      ((Nat.mul_assoc sum ((d.sub p).pow (n.sub j.succ)) (d.sub p)).symm.trans
        (Nat.mul_right_comm sum ((d.sub p).pow (n.sub j.succ)) (d.sub p)))
  (congrTwo Nat.add (hs.trans split)
    (congrArg (fun y : Nat => y.mul ((d.sub p).pow (n.sub j.succ))) hn.symm)).trans
    (Nat.add_mul (sum.mul (d.sub p)) next ((d.sub p).pow (n.sub j.succ))).symm

theorem tailLoop_sound (n p d : Nat) : (steps j term sum : Nat) → (j.add steps).le n →
    Eq term ((choose n j).mul (p.pow j)) → Eq (tail n p d j) (sum.mul ((d.sub p).pow (n.sub j))) →
    Eq (tail n p d (j.add steps))
      ((tailLoop n p (d.sub p) steps j term sum).mul ((d.sub p).pow (n.sub (j.add steps))))
  | .zero, _, _, _, _, _, hs => hs
  | .succ steps, j, term, sum, h, ht, hs =>
    have shift : Eq (j.succ.add steps) (j.add steps.succ) := Nat.succ_add j steps
    have room : (j.succ.add steps).le n := Nat.le_trans (Nat.le_of_eq shift) h
    have less : j.lt n := Nat.le_trans ⟨steps, rfl⟩ room
    have hn := next_term n p j term ht
    Eq.subst (motive := fun y : Nat => Eq (tail n p d y)
        ((tailLoop n p (d.sub p) steps.succ j term sum).mul ((d.sub p).pow (n.sub y)))) shift
      (tailLoop_sound n p d steps j.succ _ _ room hn (next_sum n p d j sum _ less hn hs))

/-- **Horner's rule gives the binomial tail.** -/
theorem tail_horner (n p d k : Nat) (h : k.le n) :
    Eq (tail n p d k) ((tailLoop n p (d.sub p) k 0 1 1).mul ((d.sub p).pow (n.sub k))) :=
  Eq.subst (motive := fun y : Nat => Eq (tail n p d y)
      ((tailLoop n p (d.sub p) k 0 1 1).mul ((d.sub p).pow (n.sub y)))) (Nat.zero_add k)
    (tailLoop_sound n p d k .zero 1 1 (Nat.le_trans (Nat.le_of_eq (Nat.zero_add k)) h)
      (congrArg (fun y : Nat => y.mul 1) (choose_zero n)).symm (Nat.one_mul _).symm)

theorem bounds_sound {a b n k d p : Nat} (h : k.le n) (e : Eq (bounds a b n k d p) .true) : Bounds a b n k d p :=
  Nat.le_trans (Nat.le_of_eq (congrArg b.mul (tail_horner n p d k h))) (Nat.le_of_ble e)

theorem not_bounds_sound {a b n k d p : Nat} (h : k.le n) (e : Eq (bounds a b n k d p) .false) :
    Not (Bounds a b n k d p) := fun holds =>
  Nat.not_le_of_lt (Nat.lt_of_ble e)
    (Nat.le_trans (Nat.le_of_eq (congrArg b.mul (tail_horner n p d k h)).symm) holds)

/-! ## The smallest n -/

theorem enough_step {a b p d n : Nat} (h : Enough a b p d n) : Enough a b p d n.succ :=
  Nat.le_trans (Nat.le_of_eq (Nat.mul_assoc b ((d.sub p).pow n) (d.sub p)).symm)
    (Nat.le_trans (Nat.mul_le_mul_right (d.sub p) h)
      (Nat.le_trans (Nat.mul_le_mul_left (a.mul (d.pow n)) (sub_le d p)) (Nat.le_of_eq (Nat.mul_assoc a (d.pow n) d))))

theorem enough_more {a b p d n : Nat} (h : Enough a b p d n) : (e : Nat) → Enough a b p d (n.add e)
  | .zero => h
  | .succ e => enough_step (enough_more h e)

theorem notBefore_sound (a b p d : Nat) : (m : Nat) → Eq (notBefore a b p d m) .true →
    (n : Nat) → n.lt m → Not (Enough a b p d n)
  | .zero, _, _, less => fun _ => Nat.not_succ_le_zero less
  | .succ _, h, _, less => fun holds =>
    match Nat.le_of_succ_le_succ less with
    | ⟨e, sum⟩ => Nat.not_le_of_lt (Nat.lt_of_ble (Bool.not_true h))
        (Eq.subst (motive := Enough a b p d) sum (enough_more holds e))

/-! ## The whole -/

theorem sameVerdict_sound : (v w : Verdict) → Eq (sameVerdict v w) .true → Eq v w
  | .certified, .certified, _ => rfl
  | .consistent, .consistent, _ => rfl
  | .refused, .refused, _ => rfl
  | .certified, .consistent, h => (Bool.false_ne_true h).elim
  | .certified, .refused, h => (Bool.false_ne_true h).elim
  | .consistent, .certified, h => (Bool.false_ne_true h).elim
  | .consistent, .refused, h => (Bool.false_ne_true h).elim
  | .refused, .certified, h => (Bool.false_ne_true h).elim
  | .refused, .consistent, h => (Bool.false_ne_true h).elim

theorem boundRight_sound (c : Certificate) (h : Eq (boundRight c) .true) :
    Exact c.alphaNum c.alphaDen c.inside c.failed c.boundDen c.boundNum :=
  match e : c.failed.beq c.inside with
  | .true =>
    .inl ⟨Nat.eq_of_beq e,
      Nat.eq_of_beq (Eq.subst (motive := fun b : Bool => Eq (b.pick (c.boundNum.beq c.boundDen) _) .true) e h)⟩
  | .false =>
    have rest := Eq.subst (motive := fun b : Bool => Eq (b.pick (c.boundNum.beq c.boundDen) _) .true) e h
    have few := Nat.le_of_ble (Bool.and_left rest)
    have both := Bool.and_right rest
    .inr ⟨Nat.le_step few (Nat.ne_of_beq e), bounds_sound few (Bool.and_left both),
      match Bool.or_split (Bool.and_right both) with
        | .inl zero => .inl (Nat.eq_of_beq zero)
        | .inr no => .inr (not_bounds_sound few (Bool.not_true no))⟩

theorem sides_sound : (box : List Range) → Eq (sides box) .true →
    All Range.Proper box
  | .nil, _ => .intro
  | .cons _ rs, h =>
    have side := Bool.and_left h
    have order := Bool.and_right side
    ⟨⟨Nat.le_of_ble (Bool.and_left side), Nat.le_of_ble (Bool.and_left order), Nat.le_of_ble (Bool.and_right order)⟩,
      sides_sound rs (Bool.and_right h)⟩

theorem sides_words : (box : List Range) →
    All Range.Proper box →
    All (fun r : Range => And (Word r.lo) (Word r.hi)) box
  | .nil, _ => .intro
  | .cons _ rs, h => ⟨⟨Nat.le_trans h.left.right.left h.left.right.right, h.left.right.right⟩, sides_words rs h.right⟩

theorem fitAll_sound (n : Nat) : (fs : List Nat) → Eq (fitAll n fs) .true → All (fun x => x.lt (wordBase.pow n)) fs
  | .nil, _ => .intro
  | .cons _ xs, h => ⟨fit_lt (Bool.and_left h), fitAll_sound n xs (Bool.and_right h)⟩

theorem fits_sound (m : Nat) : (t : Rows) → Eq (fits t) .true → Eq (columns m t) .true → t.Fit m
  | .block n _ _ fs, h, wide =>
    have h1 := Bool.and_right h
    have h2 := Bool.and_right h1
    ⟨Nat.eq_of_beq wide, fit_lt (Bool.and_left h1), fit_lt (Bool.and_left h2), fitAll_sound n fs (Bool.and_right h2)⟩
  | .join l r, h, wide => ⟨fits_sound m l (Bool.and_left h) (Bool.and_left wide),
      fits_sound m r (Bool.and_right h) (Bool.and_right wide)⟩

theorem length_listOf {α : Type} : (n : Nat) → (f : Nat → α) → Eq (listOf n f).length n
  | .zero, _ => rfl
  | .succ n, f => congrArg Nat.succ (length_listOf n (fun i => f i.succ))

theorem size_sound : (t : Rows) → Eq t.table.length (size t)
  | .block n g e fs => length_listOf n (rowAt g e fs)
  | .join l r => (List.length_append r.table l.table).trans (congrTwo Nat.add (size_sound l) (size_sound r))

theorem count_congr {p q : Row → Bool} (h : (r : Row) → Eq (p r) (q r)) : (rows : List Row) →
    Eq (count p rows) (count q rows)
  | .nil => rfl
  | .cons r rs => congrTwo (fun (n : Nat) (b : Bool) => n.add (b.pick 1 0)) (count_congr h rs) (h r)

theorem Bool.and_true : (a : Bool) → Eq (a.and .true) a
  | .true => rfl
  | .false => rfl

/-- All sides have words at their ends. -/
abbrev Words (c : Certificate) : Prop := All (fun r : Range => And (Word r.lo) (Word r.hi)) c.box

theorem count_inside (c : Certificate) (words : Words c) (ok : Eq (fits c.rows) .true) :
    Eq (countRows c.box (fun n _ => ones 32 n) c.rows) (count (fun r => inBox c.box r.features) c.rows.table) :=
  (countRows_sound c.box words (q := fun _ => .true) (fun n _ _ => ones_sound 32 n) c.rows ok).trans
    (count_congr (fun r => Bool.and_true (inBox c.box r.features)) c.rows.table)

theorem count_failed (c : Certificate) (words : Words c) (ok : Eq (fits c.rows) .true)
    (small : c.tolerance.lt unknownError.pred) :
    Eq (countRows c.box (failedRows c.tolerance c.noise) c.rows)
      (count (fun r => (inBox c.box r.features).and (r.fails c.tolerance c.noise)) c.rows.table) :=
  have word : (c.tolerance.succ.sub c.noise).le (Nat.pow 2 32) :=
    word_le (Nat.le_trans (sub_le c.tolerance.succ c.noise) (Nat.le_trans small (sub_le unknownError 1)))
  (countRows_sound c.box words (fun n e fit => atLeast_sound 32 n e word (fit_clear fit)) c.rows ok).trans
    (count_congr (fun r => congrArg (inBox c.box r.features).and
      (fails_simple c.tolerance c.noise small r)) c.rows.table)

theorem count_unknown (c : Certificate) (words : Words c) (ok : Eq (fits c.rows) .true) :
    Eq (countRows c.box unknownRows c.rows)
      (count (fun r => (inBox c.box r.features).and r.unknown) c.rows.table) :=
  (countRows_sound c.box words (mask := unknownRows) (q := fun x => (unknownError.ble x).and (x.ble unknownError))
    (fun n e fit => between_sound n e (Nat.le_refl unknownError) (Nat.le_refl unknownError) (fit_clear fit))
      c.rows ok).trans
    (count_congr (fun r => congrArg (inBox c.box r.features).and (Nat.ble_both unknownError r.error)) c.rows.table)

/-- **Soundness**: a certificate that the checker accepts is valid. -/
theorem check_sound (c : Certificate) (h : Eq (check c) .true) : Valid c :=
  have numbers := Bool.and_left h
  have shape := Bool.and_left numbers
  have n0 := Bool.and_right numbers
  have n1 := Bool.and_right n0
  have alpha := Bool.and_left n1
  have n2 := Bool.and_right n1
  have fraction := Bool.and_left n2
  have n3 := Bool.and_right n2
  have requested := Bool.and_left n3
  have n4 := Bool.and_right n3
  have smallest := Bool.and_left n4
  have n5 := Bool.and_right n4
  have box := sides_sound c.box (Bool.and_right (Bool.and_left shape))
  have words := sides_words c.box box
  have rows := Bool.and_right h
  have r1 := Bool.and_right rows
  have r2 := Bool.and_right r1
  have r3 := Bool.and_right r2
  have r4 := Bool.and_right r3
  have ok := Bool.and_left rows
  { box := ⟨Nat.le_of_ble (Bool.and_left (Bool.and_left shape)), box⟩
    intervals := propers_sound c.intervals (Bool.and_left n0)
    fit := fits_sound c.box.length c.rows ok (Bool.and_right (Bool.and_left r1))
    tolerance := Nat.le_of_ble (Bool.and_right shape)
    groups := ascend_distinct _ _ 0 (ascendRows_sound c.rows ok _ 0 (Bool.and_left r2))
    rowCount := (size_sound c.rows).trans (Nat.eq_of_beq (Bool.and_left (Bool.and_left r1)))
    inside := (count_inside c words ok).symm.trans (Nat.eq_of_beq (Bool.and_left r3))
    failed := (count_failed c words ok (Nat.le_of_ble (Bool.and_right shape))).symm.trans
      (Nat.eq_of_beq (Bool.and_left r4))
    unknown := (count_unknown c words ok).symm.trans (Nat.eq_of_beq (Bool.and_right r4))
    alpha := ⟨Nat.le_of_ble (Bool.and_left alpha), Nat.le_of_ble (Bool.and_left (Bool.and_right alpha)),
      Nat.eq_of_beq (Bool.and_right (Bool.and_right alpha))⟩
    bound := ⟨Nat.le_of_ble (Bool.and_left fraction), Nat.le_of_ble (Bool.and_right fraction),
      boundRight_sound c (Bool.and_right n5)⟩
    requested := ⟨Nat.le_of_ble (Bool.and_left requested), Nat.le_of_ble (Bool.and_right requested)⟩
    smallest := ⟨Nat.le_of_ble (Bool.and_left smallest), notBefore_sound _ _ _ _ c.smallest (Bool.and_right smallest)⟩
    verdict := sameVerdict_sound _ _ (Bool.and_left n5) }

/-! ## The guard -/

/-- Word by word: each lies between the ends of its side. -/
def Within : List Range → List Nat → Prop
  | .nil, _ => True
  | .cons _ _, .nil => False
  | .cons r rs, .cons x xs => And (And (r.lo.le x) (x.le r.hi)) (Within rs xs)

/-- What the guard admits lies within the box, word by word. -/
theorem guard_within : (box : List Range) → (v : List Nat) → Eq (inBox box v) .true → Within box v
  | .nil, _, _ => .intro
  | .cons _ _, .nil, h => Bool.false_ne_true h
  | .cons _ rs, .cons _ xs, h =>
    have side := Bool.and_left h
    ⟨⟨Nat.le_of_ble (Bool.and_left side), Nat.le_of_ble (Bool.and_right side)⟩, guard_within rs xs (Bool.and_right h)⟩

/-- What lies within the box, word by word, the guard admits. -/
theorem guard_admits : (box : List Range) → (v : List Nat) → Within box v → Eq (inBox box v) .true
  | .nil, _, _ => rfl
  | .cons _ _, .nil, h => h.elim
  | .cons _ rs, .cons _ xs, h => Bool.and_both
      (Bool.and_both (Nat.ble_of_le h.left.left) (Nat.ble_of_le h.left.right)) (guard_admits rs xs h.right)

theorem All.weaken {α : Type} {p q : α → Prop} (h : (x : α) → p x → q x) : (xs : List α) → All p xs → All q xs
  | .nil, _ => .intro
  | .cons x xs, a => ⟨h x a.left, All.weaken h xs a.right⟩

theorem none_of_count {α : Type} (p : α → Bool) : (xs : List α) → Eq (count p xs) 0 → All (fun x => Eq (p x) .false) xs
  | .nil, _ => .intro
  | .cons x xs, h =>
    have here : Eq (p x) .false := match e : p x with
      | .false => rfl
      | .true => (Nat.succ_ne_zero ((congrArg (fun b : Bool => (count p xs).add (b.pick 1 0)) e).symm.trans h)).elim
    have rest : Eq (count p xs) 0 := Nat.zero_of_add ((Nat.add_comm _ _).trans h)
    ⟨here, none_of_count p xs rest⟩

theorem or_left {a b : Bool} (h : Eq (a.or b) .false) : Eq a .false :=
  match a, h with
  | .true, h => h
  | .false, _ => rfl

theorem or_right {a b : Bool} (h : Eq (a.or b) .false) : Eq b .false :=
  match a, h with
  | .true, h => (Bool.false_ne_true h.symm).elim
  | .false, h => h

/-- The reference of the row is known, and its error and the noise together are within the tolerance. -/
def Good (tolerance noise : Nat) (r : Row) : Prop :=
  And (Not (Eq r.error unknownError)) ((r.error.add noise).le tolerance)

theorem good_of_not_fails {t n : Nat} {r : Row} (h : Eq (r.fails t n) .false) : Good t n r :=
  ⟨fun e => Nat.ne_of_beq (or_left h) e, Nat.le_of_succ_le_succ (Nat.lt_of_ble (or_right (a := r.unknown) h))⟩

/-- **With no failure recorded, every row that the guard admits is within the tolerance.** -/
theorem guard_sound (c : Certificate) (valid : Valid c) (none : Eq c.failed 0) :
    All (fun r : Row => Eq (inBox c.box r.features) .true → Good c.tolerance c.noise r) c.rows.table :=
  All.weaken (p := fun r : Row => Eq ((inBox c.box r.features).and (r.fails c.tolerance c.noise)) .false)
    (q := fun r : Row => Eq (inBox c.box r.features) .true → Good c.tolerance c.noise r)
    (fun r h inside => good_of_not_fails
      ((congrArg (fun b : Bool => b.and (r.fails c.tolerance c.noise)) inside).symm.trans h)) c.rows.table
    (none_of_count _ c.rows.table (valid.failed.trans none))

/-! ## Smaller boxes: what is said of rows is inherited. The bound on the failure rate never is. -/

/-- Side by side, the first box reaches no further than the second. -/
def Narrower : List Range → List Range → Prop
  | _, .nil => True
  | .nil, .cons _ _ => False
  | .cons a as, .cons b bs => And (And (b.lo.le a.lo) (a.hi.le b.hi)) (Narrower as bs)

theorem within_mono : (a b : List Range) → (v : List Nat) → Narrower a b → Within a v → Within b v
  | _, .nil, _, _, _ => .intro
  | .nil, .cons _ _, _, n, _ => n.elim
  | .cons _ _, .cons _ _, .nil, _, h => h
  | .cons _ as, .cons _ bs, .cons _ xs, n, h =>
    ⟨⟨Nat.le_trans n.left.left h.left.left, Nat.le_trans h.left.right n.left.right⟩,
      within_mono as bs xs n.right h.right⟩

/-- A narrower box admits no more. -/
theorem guard_mono {a b : List Range} {v : List Nat} (n : Narrower a b) (h : Eq (inBox a v) .true) :
    Eq (inBox b v) .true := guard_admits b v (within_mono a b v n (guard_within a v h))

/-- **Whatever holds of every row that a box admits holds of every row that a narrower box admits.** -/
theorem narrower_inherits {a b : List Range} (p : Row → Prop) (n : Narrower a b) (rows : List Row)
    (h : All (fun r : Row => Eq (inBox b r.features) .true → p r) rows) :
    All (fun r : Row => Eq (inBox a r.features) .true → p r) rows :=
  All.weaken (p := fun r : Row => Eq (inBox b r.features) .true → p r)
    (q := fun r : Row => Eq (inBox a r.features) .true → p r) (fun _ k inside => k (guard_mono n inside)) rows h

/-- The box that two boxes have in common. -/
def meet : List Range → List Range → List Range
  | .nil, bs => bs
  | .cons a as, .nil => .cons a as
  | .cons a as, .cons b bs =>
    .cons ⟨(a.lo.ble b.lo).pick b.lo a.lo, (a.hi.ble b.hi).pick a.hi b.hi⟩ (meet as bs)

theorem pick_max (x y : Nat) : And (x.le ((x.ble y).pick y x)) (y.le ((x.ble y).pick y x)) :=
  match e : x.ble y with
  | .true => ⟨Nat.le_of_ble e, Nat.le_refl y⟩
  | .false => ⟨Nat.le_refl x, Nat.le_trans (Nat.le_succ y) (Nat.lt_of_ble e)⟩

theorem pick_min (x y : Nat) : And (Nat.le ((x.ble y).pick x y) x) (Nat.le ((x.ble y).pick x y) y) :=
  match e : x.ble y with
  | .true => ⟨Nat.le_refl x, Nat.le_of_ble e⟩
  | .false => ⟨Nat.le_trans (Nat.le_succ y) (Nat.lt_of_ble e), Nat.le_refl y⟩

theorem narrower_refl : (a : List Range) → Narrower a a
  | .nil => .intro
  | .cons a as => ⟨⟨Nat.le_refl a.lo, Nat.le_refl a.hi⟩, narrower_refl as⟩

/-- **An intersection is narrower than both boxes**, so that it inherits what is said of the rows of either. -/
theorem meet_narrower : (a b : List Range) → And (Narrower (meet a b) a) (Narrower (meet a b) b)
  | .nil, .nil => ⟨.intro, .intro⟩
  | .nil, .cons b bs => ⟨.intro, narrower_refl (.cons b bs)⟩
  | .cons a as, .nil => ⟨narrower_refl (.cons a as), .intro⟩
  | .cons a as, .cons b bs =>
    have lo := pick_max a.lo b.lo
    have hi := pick_min a.hi b.hi
    have rest := meet_narrower as bs
    ⟨⟨⟨lo.left, hi.left⟩, rest.left⟩, ⟨⟨lo.right, hi.right⟩, rest.right⟩⟩

/-! ## The tail as a function of k and of the rate -/

theorem tail_more (n p d k : Nat) : (e : Nat) → (tail n p d k).le (tail n p d (k.add e))
  | .zero => Nat.le_refl _
  | .succ e => Nat.le_trans (tail_more n p d k e) ⟨_, rfl⟩

/-- **More failures never give a smaller bound.** -/
theorem bounds_fewer {a b n k m d p : Nat} (less : k.le m) (h : Bounds a b n m d p) : Bounds a b n k d p :=
  match less with
  | ⟨e, sum⟩ => Nat.le_trans (Nat.mul_le_mul_left b (Nat.le_trans (tail_more n p d k e)
      (Nat.le_of_eq (congrArg (tail n p d) sum)))) h

/-- With less than the smallest n, no number of failures gives a bound as low as the requested rate. -/
theorem too_few (c : Certificate) (valid : Valid c) (few : c.inside.lt c.smallest) (k : Nat) :
    Not (Bounds c.alphaNum c.alphaDen c.inside k c.requestedDen c.requestedNum) :=
  fun h => valid.smallest.right c.inside few (bounds_fewer (k := 0) (Nat.zero_le k) h)

theorem power_split (n p q k : Nat) : Eq (q.mul (((choose n k.succ).mul p).mul (q.pow (n.sub k.succ))))
    (((choose n k.succ).mul p).mul (q.pow (n.sub k))) :=
  match e : n.ble k with
  | .true =>
    have none : Eq (choose n k.succ) 0 := choose_beyond n k (sub_zero n k (Nat.le_of_ble e))
    have left : Eq (((choose n k.succ).mul p).mul (q.pow (n.sub k.succ))) 0 :=
      (congrArg (fun x : Nat => (x.mul p).mul (q.pow (n.sub k.succ))) none).trans
        ((congrArg (fun x : Nat => x.mul (q.pow (n.sub k.succ))) (Nat.zero_mul p)).trans (Nat.zero_mul _))
    have right : Eq (((choose n k.succ).mul p).mul (q.pow (n.sub k))) 0 :=
      (congrArg (fun x : Nat => (x.mul p).mul (q.pow (n.sub k))) none).trans
        ((congrArg (fun x : Nat => x.mul (q.pow (n.sub k))) (Nat.zero_mul p)).trans (Nat.zero_mul _))
    (congrArg q.mul left).trans right.symm
  | .false =>
    (Nat.mul_comm q _).trans ((Nat.mul_assoc _ (q.pow (n.sub k.succ)) q).trans
      (congrArg (fun x : Nat => Nat.mul ((choose n k.succ).mul p) (q.pow x)) (sub_split n k (Nat.lt_of_ble e)).symm))
where
  sub_zero : (n k : Nat) → n.le k → Eq (n.sub k) 0
    | .zero, k, _ => Nat.zero_sub k
    | .succ _, .zero, h => (Nat.not_succ_le_zero h).elim
    | .succ n, .succ k, h => (Nat.succ_sub_succ n k).trans (sub_zero n k (Nat.le_of_succ_le_succ h))

/-- One trial more: either it passes, or it fails. -/
theorem tail_step (n p d : Nat) : (k : Nat) → Eq (tail n.succ p d k.succ)
    (((d.sub p).mul (tail n p d k.succ)).add (p.mul (tail n p d k)))
  | .zero =>
    first n p (d.sub p)
  | .succ k =>
    have ih := tail_step n p d k
    second n p (d.sub p) k (tail n.succ p d k.succ) (tail n p d k.succ) (tail n p d k) ih
where
  term (n p q k : Nat) : Eq (((choose n.succ k.succ).mul (p.pow k.succ)).mul (q.pow (n.succ.sub k.succ)))
      ((q.mul (((choose n k.succ).mul (p.pow k.succ)).mul (q.pow (n.sub k.succ)))).add
        (p.mul (((choose n k).mul (p.pow k)).mul (q.pow (n.sub k))))) :=
    (congrArg (fun x : Nat => Nat.mul ((choose n.succ k.succ).mul (p.pow k.succ)) (q.pow x))
      (Nat.succ_sub_succ n k)).trans
    ((congrArg (fun x : Nat => x.mul (q.pow (n.sub k)))
      (Nat.add_mul (choose n k) (choose n k.succ) (p.pow k.succ))).trans
    ((Nat.add_mul _ _ (q.pow (n.sub k))).trans
    ((Nat.add_comm _ _).trans (congrTwo Nat.add (power_split n (p.pow k.succ) q k).symm
      ((congrArg (fun x : Nat => x.mul (q.pow (n.sub k))) (Nat.mul_assoc (choose n k) (p.pow k) p).symm).trans
        ((Nat.mul_right_comm _ p (q.pow (n.sub k))).trans (Nat.mul_comm _ p)))))))
  first (n p q : Nat) : Eq ((q.pow n.succ).add (((choose n.succ 1).mul (p.pow 1)).mul (q.pow (n.succ.sub 1))))
      ((q.mul ((q.pow n).add (((choose n 1).mul (p.pow 1)).mul (q.pow (n.sub 1))))).add (p.mul (q.pow n))) :=
    have plain : Eq (((choose n 0).mul (p.pow 0)).mul (q.pow (n.sub 0))) (q.pow n) :=
      (congrArg (fun x : Nat => (x.mul 1).mul (q.pow n)) (choose_zero n)).trans (Nat.one_mul (q.pow n))
    (congrTwo Nat.add (Nat.mul_comm (q.pow n) q) ((term n p q 0).trans
      (congrArg (fun x : Nat => Nat.add _ (p.mul x)) plain))).trans
      ((Nat.add_assoc _ _ _).symm.trans (congrArg (fun x : Nat => x.add (p.mul (q.pow n))) (Nat.mul_add q _ _).symm))
  second (n p q k s t u : Nat) (ih : Eq s ((q.mul t).add (p.mul u))) :
      Eq (s.add (((choose n.succ k.succ.succ).mul (p.pow k.succ.succ)).mul (q.pow (n.succ.sub k.succ.succ))))
        ((q.mul (t.add (((choose n k.succ.succ).mul (p.pow k.succ.succ)).mul (q.pow (n.sub k.succ.succ))))).add
          (p.mul (u.add (((choose n k.succ).mul (p.pow k.succ)).mul (q.pow (n.sub k.succ)))))) :=
    (congrTwo Nat.add ih (term n p q k.succ)).trans ((Nat.add_four _ _ _ _).trans
      (congrTwo Nat.add (Nat.mul_add q t _).symm (Nat.mul_add p u _).symm))

theorem tail_none (p d : Nat) : (k : Nat) → Eq (tail .zero p d k) 1
  | .zero => rfl
  | .succ k => congrTwo Nat.add (tail_none p d k)
      ((congrArg (fun x : Nat => x.mul ((d.sub p).pow (Nat.zero.sub k.succ)))
      (Nat.zero_mul (p.pow k.succ))).trans (Nat.zero_mul _))

theorem pow_le {a b : Nat} (h : a.le b) : (n : Nat) → (a.pow n).le (b.pow n)
  | .zero => Nat.le_refl 1
  | .succ n => Nat.le_trans (Nat.mul_le_mul_right a (pow_le h n)) (Nat.mul_le_mul_left (b.pow n) h)

/-- Part of what passes is moved to what fails, which is less likely to leave few failures. -/
theorem move_rate {p q s e a a' b b' : Nat} (split : Eq (s.add e) q) (ha : a'.le a) (hb : b'.le b) (fewer : b.le a) :
    ((s.mul a').add ((p.add e).mul b')).le ((q.mul a).add (p.mul b)) :=
  have one : ((s.mul a').add ((p.add e).mul b')).le ((s.mul a).add ((p.mul b).add (e.mul a))) :=
    Nat.add_le_add (Nat.mul_le_mul_left s ha) (Nat.le_trans (Nat.mul_le_mul_left (p.add e) hb)
      (Nat.le_trans (Nat.le_of_eq (Nat.add_mul p e b))
        (Nat.add_le_add (Nat.le_refl (p.mul b)) (Nat.mul_le_mul_left e fewer))))
  have two : Eq ((s.mul a).add ((p.mul b).add (e.mul a))) ((q.mul a).add (p.mul b)) :=
    (congrArg (s.mul a).add (Nat.add_comm (p.mul b) (e.mul a))).trans ((Nat.add_assoc _ _ _).symm.trans
      (congrArg (fun x : Nat => x.add (p.mul b)) ((Nat.add_mul s e a).symm.trans
        (congrArg (fun x : Nat => x.mul a) split))))
  Nat.le_trans one (Nat.le_of_eq two)

/-- **The tail falls as the rate grows.** -/
theorem tail_rate {d p r : Nat} (less : p.le r) (most : r.le d) : (n k : Nat) → (tail n r d k).le (tail n p d k)
  | .zero, k => Nat.le_of_eq ((tail_none r d k).trans (tail_none p d k).symm)
  | .succ n, .zero => pow_le (fewer less most) n.succ
  | .succ n, .succ k =>
    match less with
    | ⟨_, sum⟩ =>
      Nat.le_trans (Nat.le_of_eq ((tail_step n r d k).trans
        (congrArg (fun x : Nat => Nat.add ((d.sub r).mul (tail n r d k.succ)) (x.mul (tail n r d k))) sum.symm)))
        (Nat.le_trans (move_rate (split sum most) (tail_rate less most n k.succ) (tail_rate less most n k)
          (tail_more n p d k 1)) (Nat.le_of_eq (tail_step n p d k).symm))
where
  split {d p r e : Nat} (sum : Eq (p.add e) r) (most : r.le d) : Eq ((d.sub r).add e) (d.sub p) :=
    have whole : Eq (p.add ((d.sub r).add e)) d :=
      (congrArg p.add (Nat.add_comm _ e)).trans ((Nat.add_assoc p e _).symm.trans
        ((congrArg (fun x : Nat => x.add (d.sub r)) sum).trans (Nat.add_sub most)))
    have part : Eq (p.add (d.sub p)) d := Nat.add_sub (Nat.le_trans ⟨e, sum⟩ most)
    Nat.add_cancel p ((Nat.add_comm _ p).trans (whole.trans (part.symm.trans (Nat.add_comm p _))))
  fewer {d p r : Nat} (less : p.le r) (most : r.le d) : (d.sub r).le (d.sub p) :=
    match less with
    | ⟨e, sum⟩ => ⟨e, split sum most⟩

theorem bounds_rate {a b n k d p r : Nat} (less : p.le r) (most : r.le d) (h : Bounds a b n k d p) :
    Bounds a b n k d r := Nat.le_trans (Nat.mul_le_mul_left b (tail_rate less most n k)) h

/-- **The bound is the bound of Clopper and Pearson**: of all rates in steps of 1/d, those from it on are improbable
given so few failures, and those below it are not. -/
theorem bound_exact (c : Certificate) (valid : Valid c) (some : c.failed.lt c.inside) (r : Nat)
    (most : r.le c.boundDen) :
    And (c.boundNum.le r → Bounds c.alphaNum c.alphaDen c.inside c.failed c.boundDen r)
      (r.lt c.boundNum → Not (Bounds c.alphaNum c.alphaDen c.inside c.failed c.boundDen r)) :=
  match valid.bound.right.right with
  | .inl all => (Nat.lt_ne some all.left).elim
  | .inr exact =>
    ⟨fun less => bounds_rate less most exact.right.left, fun less h =>
      match exact.right.right with
      | .inl zero => Nat.not_succ_le_zero (Nat.le_trans less (Nat.le_of_eq zero))
      | .inr not =>
        have step : r.le c.boundNum.pred := Nat.le_of_succ_le_succ
          (Nat.le_trans less (Nat.le_of_eq (Nat.succ_pred (Nat.pos_of_lt less))))
        not (bounds_rate step (Nat.le_trans (sub_le c.boundNum 1) valid.bound.right.left) h)⟩
