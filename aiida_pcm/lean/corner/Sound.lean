prelude
import Check
/-! # Sound: what the checker accepts is valid, and what is valid it accepts -/
set_option autoImplicit false
set_option linter.defProp false
noncomputable section

theorem Bool.and_both : {a b : Bool} → Eq a .true → Eq b .true → Eq (a.and b) .true
  | .true, _, _, h => h
  | .false, _, h, _ => h

namespace Nat

theorem le_cancel {a b : Nat} (c : Nat) : (a.add c).le (b.add c) → a.le b
  | ⟨d, h⟩ => ⟨d, add_cancel c ((add_right_comm a d c).trans h)⟩

theorem add_cross (a b c d : Nat) : Eq ((a.add b).add (c.add d)) ((a.add d).add (c.add b)) :=
  (congrArg (a.add b).add (add_comm c d)).trans
    ((add_four a b d c).trans (congrArg (a.add d).add (add_comm b c)))

theorem mul_left_comm (p m a : Nat) : Eq (p.mul (m.mul a)) (m.mul (p.mul a)) :=
  (mul_assoc p m a).symm.trans ((congrArg (fun x : Nat => x.mul a) (mul_comm p m)).trans (mul_assoc m p a))

theorem rearrange_sum (a b c d : Nat) : Eq ((a.add (b.add c)).add d) ((a.add (c.add d)).add b) :=
  (add_assoc a (b.add c) d).trans ((congrArg a.add ((add_assoc b c d).trans (add_comm b (c.add d)))).trans
    (add_assoc a (c.add d) b).symm)

/-- Of two sums of products, the one that multiplies large by large is not smaller. -/
theorem rearrange {p n s t : Nat} : n.le p → s.le t → ((p.mul s).add (n.mul t)).le ((p.mul t).add (n.mul s))
  | ⟨d, h⟩, ⟨e, k⟩ =>
    have sum : Eq ((((n.add d).mul s).add (n.mul (s.add e))).add (d.mul e))
        (((n.add d).mul (s.add e)).add (n.mul s)) :=
      (congrArg (fun x : Nat => (((n.add d).mul s).add x).add (d.mul e)) (mul_add n s e)).trans
        ((rearrange_sum ((n.add d).mul s) (n.mul s) (n.mul e) (d.mul e)).trans
          (congrArg (fun x : Nat => x.add (n.mul s))
            ((congrArg ((n.add d).mul s).add (add_mul n d e).symm).trans (mul_add (n.add d) s e).symm)))
    Eq.subst (motive := fun q : Nat => ((q.mul s).add (n.mul t)).le ((q.mul t).add (n.mul s))) h
      (Eq.subst (motive := fun u : Nat => (((n.add d).mul s).add (n.mul u)).le (((n.add d).mul u).add (n.mul s))) k
        ⟨d.mul e, sum⟩)

theorem collect (p n a x b y : Nat) : Eq (((p.mul a).add (n.mul x)).add ((p.mul y).add (n.mul b)))
    ((p.mul (a.add y)).add (n.mul (b.add x))) :=
  (add_four (p.mul a) (n.mul x) (p.mul y) (n.mul b)).trans
    (congrTwo Nat.add (mul_add p a y).symm ((mul_add n x b).symm.trans (congrArg n.mul (add_comm x b))))

end Nat

/-! ## Whole numbers -/

namespace Signed

theorem le_refl (a : Signed) : a.le a := Nat.le_refl _

theorem le_trans {a b c : Signed} (h : a.le b) (k : b.le c) : a.le c :=
  Nat.le_cancel (b.pos.add b.neg) (Nat.le_trans
    (Nat.le_of_eq (Nat.add_cross a.pos b.neg b.pos c.neg).symm)
    (Nat.le_trans (Nat.add_le_add h k) (Nat.le_of_eq
      ((Nat.add_comm (b.pos.add a.neg) (c.pos.add b.neg)).trans (Nat.add_cross c.pos b.neg b.pos a.neg)))))

theorem add_le {a b c d : Signed} (h : a.le b) (k : c.le d) : (a.add c).le (b.add d) :=
  Nat.le_trans (Nat.le_of_eq (Nat.add_four a.pos c.pos b.neg d.neg))
    (Nat.le_trans (Nat.add_le_add h k) (Nat.le_of_eq (Nat.add_four b.pos a.neg d.pos c.neg)))

theorem le_of_ble {a b : Signed} (h : Eq (a.ble b) .true) : a.le b := Nat.le_of_ble h

theorem ble_of_le {a b : Signed} (h : a.le b) : Eq (a.ble b) .true := Nat.ble_of_le h

/-- A product grows with its second factor if the first is not negative, -/
theorem mul_le {c a b : Signed} (s : c.neg.le c.pos) (h : a.le b) : (c.mul a).le (c.mul b) :=
  Nat.le_trans (Nat.le_of_eq (Nat.collect c.pos c.neg a.pos a.neg b.pos b.neg))
    (Nat.le_trans (Nat.rearrange s h) (Nat.le_of_eq (Nat.collect c.pos c.neg b.pos b.neg a.pos a.neg).symm))

/-- and falls with it if the first is not positive. -/
theorem mul_ge {c a b : Signed} (s : c.pos.le c.neg) (h : a.le b) : (c.mul b).le (c.mul a) :=
  Nat.le_trans (Nat.le_of_eq ((Nat.collect c.pos c.neg b.pos b.neg a.pos a.neg).trans
      (Nat.add_comm (c.pos.mul (b.pos.add a.neg)) (c.neg.mul (a.pos.add b.neg)))))
    (Nat.le_trans (Nat.rearrange s h) (Nat.le_of_eq
      ((Nat.add_comm (c.neg.mul (b.pos.add a.neg)) (c.pos.mul (a.pos.add b.neg))).trans
        (Nat.collect c.pos c.neg a.pos a.neg b.pos b.neg).symm)))

theorem times_le (m : Nat) {a b : Signed} (h : a.le b) : (a.times m).le (b.times m) :=
  Nat.le_trans (Nat.le_of_eq (Nat.mul_add m a.pos b.neg).symm)
    (Nat.le_trans (Nat.mul_le_mul_left m h) (Nat.le_of_eq (Nat.mul_add m b.pos a.neg)))

theorem times_add (m : Nat) (a b : Signed) : Eq ((a.add b).times m) ((a.times m).add (b.times m)) :=
  congrTwo Signed.mk (Nat.mul_add m a.pos b.pos) (Nat.mul_add m a.neg b.neg)

theorem times_part (m p n a b : Nat) :
    Eq (m.mul ((p.mul a).add (n.mul b))) ((p.mul (m.mul a)).add (n.mul (m.mul b))) :=
  (Nat.mul_add m (p.mul a) (n.mul b)).trans
    (congrTwo Nat.add (Nat.mul_left_comm p m a).symm (Nat.mul_left_comm n m b).symm)

theorem times_mul (m : Nat) (c a : Signed) : Eq ((c.mul a).times m) (c.mul (a.times m)) :=
  congrTwo Signed.mk (times_part m c.pos c.neg a.pos a.neg) (times_part m c.pos c.neg a.neg a.pos)

theorem one_times (a : Signed) : Eq (a.times 1) a := congrTwo Signed.mk (Nat.one_mul a.pos) (Nat.one_mul a.neg)

end Signed

/-! ## One side -/

theorem least_below {m : Nat} {s : Side} {x : Signed} (c : Signed) (l : (s.lo.times m).le x)
    (h : x.le (s.hi.times m)) : (b : Bool) → Eq (c.neg.ble c.pos) b →
    (c.mul ((b.pick s.lo s.hi).times m)).le (c.mul x)
  | .true, e => Signed.mul_le (Nat.le_of_ble e) l
  | .false, e => Signed.mul_ge (Nat.le_trans (Nat.le_succ c.pos) (Nat.lt_of_ble e)) h

theorem most_above {m : Nat} {s : Side} {x : Signed} (c : Signed) (l : (s.lo.times m).le x)
    (h : x.le (s.hi.times m)) : (b : Bool) → Eq (c.neg.ble c.pos) b →
    (c.mul x).le (c.mul ((b.pick s.hi s.lo).times m))
  | .true, e => Signed.mul_le (Nat.le_of_ble e) h
  | .false, e => Signed.mul_ge (Nat.le_trans (Nat.le_succ c.pos) (Nat.lt_of_ble e)) l

/-! ## The box -/

theorem dot_times (m : Nat) (c x : Signed) (cs xs : List Signed) :
    Eq ((dot (.cons c cs) (.cons x xs)).times m) ((c.mul (x.times m)).add ((dot cs xs).times m)) :=
  (Signed.times_add m (c.mul x) (dot cs xs)).trans
    (congrArg (fun y : Signed => y.add ((dot cs xs).times m)) (Signed.times_mul m c x))

/-- No parameters in the box give less than the corner at which every term is least. -/
theorem corner_below (m : Nat) : (cs : List Signed) → (ss : List Side) → (xs : List Signed) → Inside m ss xs →
    ((dot cs (corner least cs ss)).times m).le (dot cs xs)
  | .nil, _, _, _ => Signed.le_refl _
  | .cons _ _, .nil, .nil, _ => Signed.le_refl _
  | .cons _ _, .nil, .cons _ _, h => h.elim
  | .cons _ _, .cons _ _, .nil, h => h.elim
  | .cons c cs, .cons s ss, .cons x xs, h =>
    Eq.subst (motive := fun y : Signed => y.le (dot (.cons c cs) (.cons x xs)))
      (dot_times m c (least c s) cs (corner least cs ss)).symm
      (Signed.add_le (least_below c h.left.left h.left.right _ rfl) (corner_below m cs ss xs h.right))

/-- No parameters in the box give more than the corner at which every term is largest. -/
theorem corner_above (m : Nat) : (cs : List Signed) → (ss : List Side) → (xs : List Signed) → Inside m ss xs →
    (dot cs xs).le ((dot cs (corner most cs ss)).times m)
  | .nil, _, _, _ => Signed.le_refl _
  | .cons _ _, .nil, .nil, _ => Signed.le_refl _
  | .cons _ _, .nil, .cons _ _, h => h.elim
  | .cons _ _, .cons _ _, .nil, h => h.elim
  | .cons c cs, .cons s ss, .cons x xs, h =>
    Eq.subst (motive := fun y : Signed => (dot (.cons c cs) (.cons x xs)).le y)
      (dot_times m c (most c s) cs (corner most cs ss)).symm
      (Signed.add_le (most_above c h.left.left h.left.right _ rfl) (corner_above m cs ss xs h.right))

/-- An end of a side lies in it. -/
theorem end_inside {s : Side} (h : s.lo.le s.hi) (x : Signed) (e : Or (Eq x s.lo) (Eq x s.hi)) :
    And ((s.lo.times 1).le x) (x.le (s.hi.times 1)) :=
  have low : Eq (s.lo.times 1) s.lo := Signed.one_times s.lo
  have high : Eq (s.hi.times 1) s.hi := Signed.one_times s.hi
  Eq.subst (motive := fun y : Signed => And (y.le x) (x.le (s.hi.times 1))) low.symm
    (Eq.subst (motive := fun y : Signed => And (s.lo.le x) (x.le y)) high.symm
      (match e with
      | .inl a => Eq.subst (motive := fun y : Signed => And (s.lo.le y) (y.le s.hi)) a.symm ⟨Signed.le_refl _, h⟩
      | .inr a => Eq.subst (motive := fun y : Signed => And (s.lo.le y) (y.le s.hi)) a.symm ⟨h, Signed.le_refl _⟩))

theorem picked {α : Type} (a b : α) : (p : Bool) → Or (Eq (p.pick a b) a) (Eq (p.pick a b) b)
  | .true => .inl rfl
  | .false => .inr rfl

theorem Or.swap {a b : Prop} : Or a b → Or b a
  | .inl h => .inr h
  | .inr h => .inl h

theorem least_end (c : Signed) (s : Side) : Or (Eq (least c s) s.lo) (Eq (least c s) s.hi) := picked _ _ _

theorem most_end (c : Signed) (s : Side) : Or (Eq (most c s) s.lo) (Eq (most c s) s.hi) := (picked _ _ _).swap

/-- A corner is in the box. -/
theorem corner_inside (choose : Signed → Side → Signed)
    (e : (c : Signed) → (s : Side) → Or (Eq (choose c s) s.lo) (Eq (choose c s) s.hi)) :
    (cs : List Signed) → (ss : List Side) → Eq cs.length ss.length → All (fun s : Side => s.lo.le s.hi) ss →
    Inside 1 ss (corner choose cs ss)
  | .nil, .nil, _, _ => True.intro
  | .nil, .cons _ _, n, _ => (Nat.succ_ne_zero n.symm).elim
  | .cons _ _, .nil, n, _ => (Nat.succ_ne_zero n).elim
  | .cons c cs, .cons s ss, n, h =>
    ⟨end_inside h.left (choose c s) (e c s), corner_inside choose e cs ss (Nat.succ_inj n) h.right⟩

theorem sides_sound : (ss : List Side) → Eq (sides ss) .true → All (fun s : Side => s.lo.le s.hi) ss
  | .nil, _ => True.intro
  | .cons _ ss, h => ⟨Signed.le_of_ble (Bool.and_left h), sides_sound ss (Bool.and_right h)⟩

theorem sides_complete : (ss : List Side) → All (fun s : Side => s.lo.le s.hi) ss → Eq (sides ss) .true
  | .nil, _ => rfl
  | .cons _ ss, h => Bool.and_both (Signed.ble_of_le h.left) (sides_complete ss h.right)

/-! ## The checker -/

/-- Whatever the checker accepts is valid. -/
theorem check_sound (c : Certificate) (h : Eq (check c) .true) : Valid c :=
  have low : c.low.le (atCorner least c) := Signed.le_of_ble (Bool.and_left (Bool.and_right h))
  have high : (atCorner most c).le c.high := Signed.le_of_ble (Bool.and_right (Bool.and_right h))
  { sizes := Nat.eq_of_beq (Bool.and_left (Bool.and_left h))
    sides := sides_sound c.box (Bool.and_right (Bool.and_left h))
    within := fun m x i =>
      ⟨Signed.le_trans (Signed.times_le m low)
          (Eq.subst (motive := fun y : Signed => y.le ((c.base.times m).add (dot c.coefficients x)))
            (Signed.times_add m c.base (dot c.coefficients (corner least c.coefficients c.box))).symm
            (Signed.add_le (Signed.le_refl _) (corner_below m c.coefficients c.box x i))),
        Signed.le_trans
          (Eq.subst (motive := fun y : Signed => ((c.base.times m).add (dot c.coefficients x)).le y)
            (Signed.times_add m c.base (dot c.coefficients (corner most c.coefficients c.box))).symm
            (Signed.add_le (Signed.le_refl _) (corner_above m c.coefficients c.box x i)))
          (Signed.times_le m high)⟩ }

/-- The checker accepts whatever is valid: a bound that is one step too tight is not true. -/
theorem check_complete (c : Certificate) (h : Valid c) : Eq (check c) .true :=
  have low : c.low.le (atCorner least c) :=
    Eq.subst (motive := fun x : Signed => x.le (atCorner least c)) (Signed.one_times c.low)
      (Eq.subst (motive := fun x : Signed =>
          (c.low.times 1).le (x.add (dot c.coefficients (corner least c.coefficients c.box))))
        (Signed.one_times c.base)
        (h.within 1 (corner least c.coefficients c.box)
          (corner_inside least least_end c.coefficients c.box h.sizes h.sides)).left)
  have high : (atCorner most c).le c.high :=
    Eq.subst (motive := fun x : Signed => (atCorner most c).le x) (Signed.one_times c.high)
      (Eq.subst (motive := fun x : Signed =>
          (x.add (dot c.coefficients (corner most c.coefficients c.box))).le (c.high.times 1))
        (Signed.one_times c.base)
        (h.within 1 (corner most c.coefficients c.box)
          (corner_inside most most_end c.coefficients c.box h.sizes h.sides)).right)
  Bool.and_both
    (Bool.and_both (beq_of_eq h.sizes) (sides_complete c.box h.sides))
    (Bool.and_both (Signed.ble_of_le low) (Signed.ble_of_le high))
where
  beq_of_eq {a b : Nat} (e : Eq a b) : Eq (a.beq b) .true :=
    Eq.subst (motive := fun x : Nat => Eq (a.beq x) .true) e (Nat.beq_refl a)
